"""Decompresses the body of a response while the body arrives.

The router asks upstreams for uncompressed bodies, but some servers and proxies compress the bodies nevertheless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..content_coding import Decoder, decoder_of
from ..errors import TransportError

_MAX_INTERMEDIATE = 64 * 1024 * 1024
"""The maximum number of bytes that a decompression of a response may produce as the input of another decompression."""


def decompressed(codings: Sequence[str], read: Callable[[], Awaitable[bytes]]) -> Decompressed:
    """Returns a response body without the compressions `codings`, which the server applied in this order.

    The sequence `codings` must not be empty. The parameter `read` has the same meaning as in the class `Decompressed`.
    """
    first, *others = codings
    for coding in reversed(others):
        read = Decompressed(coding, read, _MAX_INTERMEDIATE).read
    return Decompressed(first, read)


class Decompressed:
    """A response body that is decompressed while the compressed bytes arrive.

    The parameter `read` is a function that returns the next compressed bytes, or no bytes at the end of the body. The
    parameter `limit` is the maximum size of the decompressed body in bytes, or None if the caller limits the size.
    """

    def __init__(self, coding: str, read: Callable[[], Awaitable[bytes]], limit: int | None = None) -> None:
        self._coding = coding
        self._read = read
        self._limit = limit
        self._size = 0
        self._decoder: Decoder | None = None

    async def read(self) -> bytes:
        """Returns the next decompressed bytes, or no bytes at the end of the body.

        Raises TransportError if the connection fails or the body cannot be decompressed.
        """
        has_read = False
        while True:
            decoded = self._step()
            if decoded:
                self._size += len(decoded)
                if self._limit is not None and self._size > self._limit:
                    raise TransportError("broken", f"the {self._coding} response has over {self._limit} bytes")
                if not has_read:
                    # A few received bytes can become gigabytes. Between the steps, other tasks and deadlines must run.
                    await asyncio.sleep(0)
                return decoded
            compressed, has_read = await self._read(), True
            if not compressed:
                break
            if self._decoder is None:
                self._decoder = self._new_decoder()
            self._decoder.take(compressed)
        if self._decoder is not None and not self._decoder.is_complete:
            raise TransportError("broken", f"the {self._coding} response is truncated")
        return b""

    def _step(self) -> bytes:
        try:
            return self._decoder.step() if self._decoder is not None else b""
        except ValueError as error:
            message = f"the response is not valid {self._coding}: {error}. Disable compression at the upstream"
            raise TransportError("broken", message) from None

    def _new_decoder(self) -> Decoder:
        try:
            return decoder_of(self._coding)
        except ImportError as error:
            message = f"the router cannot decompress {self._coding} responses. Install the package {error.name}"
            raise TransportError("broken", message) from None
