"""Decodes content codings (compressions of HTTP bodies) in bounded steps, so that a small body cannot fill the memory.

The content coding br needs the Python package brotli (1.2 or later), and the content coding zstd needs the Python
package zstandard.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterable
from typing import Any, Protocol

_STEP = 64 * 1024
"""The maximum number of decoded bytes that one step returns. Only a step of brotli may return more, up to 96 KiB,
because brotli's buffer grows in blocks. Parsing 64 KiB of a stream takes a few milliseconds, even if all events are
very short."""
_PIECE = 64 * 1024
"""The maximum number of bytes of gzip or deflate input in one call of zlib."""
_MAX_MEMBERS = 10_000
"""The maximum number of members (separately compressed parts) of a gzip body. Most gzip bodies have one member. An
empty member of a gzip body has only 20 bytes, but the decoder needs a few microseconds for each member."""
_ZSTD_INPUT = 32
"""The maximum number of bytes of zstd input in one call of the zstd decoder. Four bytes of zstd input can become a
block of 128 KiB, and the zstd decoder does not limit the size of the output."""
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
"""The last three of the four bytes at the start of a zstd frame without data. The first byte may vary."""
MAX_CODINGS = 3
"""The maximum number of compressions of a response, each applied to the result of the previous one."""


class Decoder(Protocol):
    """A decoder for one content coding, such as gzip."""

    @property
    def is_complete(self) -> bool:
        """Whether the compressed data that the decoder has decoded so far are complete."""

    def take(self, data: bytes) -> None:
        """Adds compressed bytes. Callers may add further bytes only after the method `step` has returned no bytes."""

    def step(self) -> bytes:
        """Returns some decoded bytes, or no bytes if more input is needed or the data are complete. Raises ValueError
        if the data are invalid or have too many gzip members."""


class _Zlib:
    """Decodes gzip data with one or more members, and deflate data with or without zlib's header."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._inner: Any = None
        self._members = 0
        self._input, self._at = b"", 0
        """The compressed bytes, and the position of the first byte that is not decoded yet."""
        self.is_complete = False

    def take(self, data: bytes) -> None:
        self._input, self._at = self._input[self._at :] + data, 0

    def step(self) -> bytes:
        while self._at < len(self._input) and self._begin():
            # zlib copies the bytes that it does not use, so each step gives a short piece of the input to zlib.
            piece = self._input[self._at : self._at + _PIECE]
            try:
                decoded: bytes = self._inner.decompress(piece, _STEP)
            except zlib.error as error:
                raise ValueError(str(error)) from None
            self._at += len(piece)
            if self._inner.eof:
                self._at -= len(self._inner.unused_data)
                self._end()
            else:
                self._at -= len(self._inner.unconsumed_tail)
            if decoded:
                return decoded
        return b""

    def _end(self) -> None:
        self._inner, self.is_complete = None, True
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise ValueError(f"the data have more than {_MAX_MEMBERS:,} gzip members")

    def _begin(self) -> bool:
        """Starts the next member if necessary. Returns False if the rest of the input is too short or is padding."""
        if self._inner is not None:
            return True
        if len(self._input) - self._at < 2:
            return False
        if self.is_complete and not (self._is_gzip and self._input.startswith(_GZIP_MAGIC, self._at)):
            # The remaining input is padding after the end of the compressed data.
            self._input, self._at = b"", 0
            return False
        self._inner, self.is_complete = zlib.decompressobj(self._window_bits()), False
        return True

    def _window_bits(self) -> int:
        if self._is_gzip:
            return zlib.MAX_WBITS | 16
        method, flags = self._input[self._at : self._at + 2]
        has_header = method & 0x0F == zlib.DEFLATED and (method << 8 | flags) % 31 == 0
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


class _Brotli:
    def __init__(self, brotli: Any) -> None:
        self._error = brotli.error
        self._inner = brotli.Decompressor()
        self._input = b""

    @property
    def is_complete(self) -> bool:
        return bool(self._inner.is_finished())

    def take(self, data: bytes) -> None:
        self._input = data

    def step(self) -> bytes:
        if self.is_complete:
            return b""
        # Without new input, the decoder returns decoded bytes that exceeded the output limit of the previous step.
        data, self._input = self._input, b""
        try:
            decoded: bytes = self._inner.process(data, output_buffer_limit=_STEP)
        except self._error as error:
            raise ValueError(str(error)) from None
        return decoded


class _Zstd:
    """Decodes zstd data with one or more frames. Frames without data may be among them (RFC 8878, section 3)."""

    def __init__(self, zstandard: Any) -> None:
        self._error = zstandard.ZstdError
        self._new_frame = zstandard.ZstdDecompressor().decompressobj
        self._inner: Any = None
        self._input, self._at = b"", 0
        self._output = b""
        """The decoded bytes that exceeded the output limit of the previous step."""
        self.is_complete = False

    def take(self, data: bytes) -> None:
        self._input, self._at = self._input[self._at :] + data, 0

    def step(self) -> bytes:
        while not self._output and self._at < len(self._input) and self._begin():
            data = self._input[self._at : self._at + _ZSTD_INPUT]
            try:
                self._output = self._inner.decompress(data)
            except self._error as error:
                raise ValueError(str(error)) from None
            self._at += len(data)
            if self._inner.eof:
                self._at -= len(self._inner.unused_data)
                self._inner, self.is_complete = None, True
        decoded, self._output = self._output[:_STEP], self._output[_STEP:]
        return decoded

    def _begin(self) -> bool:
        """Starts the next frame if necessary. Returns False if the rest of the input is too short or is padding."""
        if self._inner is not None:
            return True
        magic = self._input[self._at : self._at + len(_ZSTD_MAGIC)]
        if len(magic) < len(_ZSTD_MAGIC):
            self.is_complete = self.is_complete and not _ZSTD_MAGIC.startswith(magic)
            return False
        if self.is_complete and magic != _ZSTD_MAGIC and magic[1:] != _SKIPPABLE_MAGIC:
            self._input, self._at = b"", 0
            return False
        self._inner, self.is_complete = self._new_frame(), False
        return True


def compression_of(header: bytes) -> str | None:
    """Returns the compression with the name `header`, or None if the compression is unknown.

    In a response, a Content-Encoding header that names no known compression is ignored, because some servers name a
    character set in this header.
    """
    name = header.decode("latin-1").strip().lower().removeprefix("x-")
    return name if name in ("gzip", "deflate", "br", "zstd") else None


def compressions_of(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Returns the compressions that the Content-Encoding headers of a response name, in the order in which the server
    applied the compressions."""
    values = b",".join([value for name, value in headers if name == b"content-encoding"])
    return [coding for name in values.split(b",") if (coding := compression_of(name)) is not None]


def decoder_of(coding: str) -> Decoder:
    """Returns a decoder for a content coding.

    Raises ImportError with the name of the package that the decoder needs, if this package is not installed.
    """
    match coding:
        case "br":
            return _Brotli(importlib.import_module("brotli"))
        case "zstd":
            return _Zstd(importlib.import_module("zstandard"))
        case _:
            return _Zlib(is_gzip=coding == "gzip")


def decoded(data: bytes, coding: str, limit: int) -> bytes | None:
    """Returns a whole body in decoded form, or None if the decoded body has more than `limit` bytes.

    Raises ValueError if the data are invalid, are truncated or have too many gzip members. Raises ImportError if the
    decoder's package is not installed.
    """
    decoder = decoder_of(coding)
    decoder.take(data)
    steps, size = [], 0
    while step := decoder.step():
        size += len(step)
        if size > limit:
            return None
        steps.append(step)
    if data and not decoder.is_complete:
        raise ValueError("the compressed data are truncated")
    return b"".join(steps)
