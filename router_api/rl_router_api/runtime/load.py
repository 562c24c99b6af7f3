"""Counts the in-flight requests and the bytes of unfinished request bodies, and rejects requests over the limits."""

from __future__ import annotations

from ..config import RequestHandlingConfig
from ..errors import ApiError
from ..upstreams.in_flight import InFlight

_REQUESTS = "requests"
_PENDING_BYTES = "pending body bytes"
_RETRY_AFTER = 1.0
"""Seconds after which a rejected client may retry."""


class Load:
    """The load of a server over all its workers. A request is in flight from the end of its body to its own end."""

    def __init__(self, counts: InFlight) -> None:
        self._counts = counts

    @property
    def in_flight(self) -> int:
        """The number of requests in flight."""
        return self._counts.total(_REQUESTS)

    @property
    def pending_bytes(self) -> int:
        """The number of bytes of unfinished request bodies."""
        return self._counts.total(_PENDING_BYTES)

    def check(self, server: RequestHandlingConfig) -> None:
        """Raises ApiError (429) if no further request can begin, so that its client need not send the body."""
        if self.in_flight >= server.max_in_flight:
            raise _too_many(server)

    def begin(self, server: RequestHandlingConfig) -> None:
        """Counts a request as in flight. Raises ApiError (429) and does not count it if there is no free slot."""
        # The count is increased before the check, so that two workers cannot both take the last slot.
        self._counts.change(_REQUESTS, 1)
        if self.in_flight > server.max_in_flight:
            self.end()
            raise _too_many(server)

    def end(self) -> None:
        """Counts a request as ended."""
        self._counts.change(_REQUESTS, -1)

    def hold(self, size: int, server: RequestHandlingConfig, key: str | None = None) -> None:
        """Counts received bytes of an unfinished body. Raises ApiError (429) if that exceeds a limit.

        The parameter `key` is the name of the client's API key, or None if all clients share the whole limit. The
        unfinished bodies of one key may have half of the limit, so that one key cannot lock out the other keys. The
        caller calls `release` also after an error. A single body may always have `max_body_bytes`.
        """
        self._counts.change(_PENDING_BYTES, size)
        limit = max(server.max_pending_bytes, server.max_body_bytes)
        if key is not None:
            self._counts.change(_of_key(key), size)
            share = max(limit // 2, server.max_body_bytes)
            if self._counts.total(_of_key(key)) > share:
                raise _too_many_bytes(f"The API key `{key}` is at its limit of {share} bytes")
        if self.pending_bytes > limit:
            raise _too_many_bytes(f"The server is at its limit of {limit} bytes")

    def release(self, size: int, key: str | None = None) -> None:
        """Uncounts the bytes of a body that is complete or was rejected. The parameter `key` is that of `hold`."""
        self._counts.change(_PENDING_BYTES, -size)
        if key is not None:
            self._counts.change(_of_key(key), -size)


def _of_key(key: str) -> str:
    return f"{_PENDING_BYTES} of key {key}"


def _too_many_bytes(limit: str) -> ApiError:
    message = f"{limit} of unfinished request bodies. Retry later."
    return ApiError(429, message, code="overloaded", retry_after=_RETRY_AFTER)


def _too_many(server: RequestHandlingConfig) -> ApiError:
    message = f"The server is at its limit of {server.max_in_flight} requests in flight. Retry later."
    return ApiError(429, message, code="overloaded", retry_after=_RETRY_AFTER)
