"""Authenticates clients by API key, and enforces the daily limits of keys."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ..accounting.money import picodollars
from ..accounting.recorders import EndedRequest
from ..errors import ApiError
from .day_counters import DayCounters
from .keys import ApiKey, digest_of

_DAY_ENDS = "Retry after 00:00 UTC, or use another key."


class Admission:
    """Authenticates clients and counts the daily usage of each API key that has a daily limit.

    The argument `keys` is None if the server requires no API keys.
    """

    def __init__(self, keys: Sequence[ApiKey] | None, counters: DayCounters) -> None:
        self._keys = keys
        self._limited = {key.name for key in keys or () if key.usd_per_day is not None}
        self._counters = counters

    @property
    def open(self) -> bool:
        """Whether clients need no API key."""
        return self._keys is None

    @property
    def closed(self) -> bool:
        """Whether the server rejects every client, because the server requires an API key but has loaded no keys."""
        return self._keys is not None and not self._keys

    @property
    def has_several_keys(self) -> bool:
        """Whether the server has loaded several API keys."""
        return self._keys is not None and len(self._keys) > 1

    def authenticate(self, authorization: str | None) -> ApiKey | None:
        """Returns the entry of the API key in the Authorization header, or None if the server requires no API keys.

        Raises ApiError with status 401 if the API key is missing or unknown.
        """
        if self._keys is None:
            return None
        scheme, _, credentials = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not credentials.strip():
            raise _unauthorized("Missing API key. Send the header `Authorization: Bearer KEY`.")
        digest = digest_of(credentials.strip())
        match = None
        for key in self._keys:
            # Compares with every key, even after a match, so that the response time reveals nothing about the keys.
            if hmac.compare_digest(key.sha256, digest):
                match = key
        if match is None:
            raise _unauthorized("Unknown API key. Send a key whose hash is in this server's keys file.")
        return match

    def begin(self, key: ApiKey) -> None:
        """Counts a new request with the API key `key`, if this key has a daily limit on requests.

        Raises ApiError with status 429 if the key has reached a daily limit. If the limit in US dollars is
        reached, the request is not counted.
        """
        limit = key.usd_per_day
        if limit is not None and self._counters.get(f"usd:{key.name}") >= picodollars(limit):
            raise _quota_error(f"The key `{key.name}` has reached its limit of {limit} USD a day. {_DAY_ENDS}")
        if key.requests_per_day is not None:
            count = self._counters.add(f"requests:{key.name}", 1)
            if count > key.requests_per_day:
                raise _quota_error(
                    f"The key `{key.name}` has reached its limit of {key.requests_per_day} requests a day. {_DAY_ENDS}"
                )

    def record(self, request: EndedRequest) -> None:
        """Adds a request's cost to the daily sum of the client's API key, if this key has a limit in US dollars."""
        if request.key in self._limited and request.ledger.total_cost:
            self._counters.add(f"usd:{request.key}", picodollars(request.ledger.total_cost))


def _unauthorized(message: str) -> ApiError:
    return ApiError(
        401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"}, retryable=False
    )  # fmt: skip


def _quota_error(message: str) -> ApiError:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return ApiError(
        429, message, code="insufficient_quota", retry_after=(midnight - now).total_seconds(), retryable=False
    )
