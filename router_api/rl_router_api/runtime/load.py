"""Counts the in-flight requests and the bytes of unfinished and decompressed request bodies.

The server rejects requests over the limits.
"""

from __future__ import annotations

from ..config import RequestHandlingConfig
from ..errors import ApiError
from ..upstreams.in_flight import InFlight

_REQUESTS = "requests"
_PENDING_BYTES = "pending body bytes"
_PENDING = "unfinished and decompressed request bodies"
_RETRY_AFTER = 1.0
"""The number of seconds after which a client may retry a rejected request."""


class Load:
    """The load of a server, counted over all workers of the server.

    A request is in flight from the moment when the request's body is complete until the request ends.
    """

    def __init__(self, counts: InFlight) -> None:
        self._counts = counts

    @property
    def in_flight(self) -> int:
        """The number of in-flight requests in all workers."""
        return self._counts.total(_REQUESTS)

    @property
    def pending_bytes(self) -> int:
        """The number of pending bytes in all workers: the received bytes of unfinished request bodies, and the bytes by
        which decompression enlarged the bodies of in-flight requests."""
        return self._counts.total(_PENDING_BYTES)

    def check(self, server: RequestHandlingConfig) -> None:
        """Raises ApiError with status 429 if `max_in_flight` requests are in flight, so that the client need not send
        the request body."""
        if self.in_flight >= server.max_in_flight:
            raise _too_many(server)

    def begin(self, server: RequestHandlingConfig) -> None:
        """Counts a request as in flight.

        If `max_in_flight` requests are already in flight, raises ApiError with status 429 and does not count the
        request.
        """
        # The count is increased before the check, so that two workers cannot both take the last slot.
        self._counts.change(_REQUESTS, 1)
        if self._counts.total(_REQUESTS) > server.max_in_flight:
            self.end()
            raise _too_many(server)

    def end(self) -> None:
        """Removes an ended request from the count of in-flight requests."""
        self._counts.change(_REQUESTS, -1)

    def hold(self, size: int, server: RequestHandlingConfig, key: str | None = None) -> None:
        """Counts `size` received bytes of an unfinished request body, or `size` bytes that decompression added.

        Raises ApiError with status 429 if the pending bytes exceed `max_pending_bytes`, or if the pending bytes of the
        API key `key` exceed half of this limit. The second limit prevents one API key from
        locking out the other API keys. Each limit is at least `max_body_bytes`. The parameter `key` is the name of the
        client's API key, or None if all clients share the whole limit. After each call of the method `hold`, the caller
        must call the method `release` for the same bytes, even if `hold` raised ApiError.
        """
        self._counts.change(_PENDING_BYTES, size)
        limit = max(server.max_pending_bytes, server.max_body_bytes)
        if key is not None:
            self._counts.change(_of_key(key), size)
            share = max(limit // 2, server.max_body_bytes)
            if self._counts.total(_of_key(key)) > share:
                raise _overloaded(f"The API key `{key}` is at its limit of {share} bytes of {_PENDING}")
        if self.pending_bytes > limit:
            raise _overloaded(f"The server is at its limit of {limit} bytes of {_PENDING}")

    def release(self, size: int, key: str | None = None) -> None:
        """Removes `size` bytes from the count, because the body is complete, is not received any further or is freed.

        The parameter `key` has the same value as in the call of the method `hold`.
        """
        self._counts.change(_PENDING_BYTES, -size)
        if key is not None:
            self._counts.change(_of_key(key), -size)


def _of_key(key: str) -> str:
    return f"{_PENDING_BYTES} of key {key}"


def _too_many(server: RequestHandlingConfig) -> ApiError:
    return _overloaded(f"The server is at its limit of {server.max_in_flight} in-flight requests")


def _overloaded(reason: str) -> ApiError:
    return ApiError(429, f"{reason}. Retry later.", code="overloaded", retry_after=_RETRY_AFTER)
