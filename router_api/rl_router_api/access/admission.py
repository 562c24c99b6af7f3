"""Who is admitted, and what a key may still use of its day."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ..accounting.money import picodollars
from ..accounting.recorders import EndedRequest
from ..errors import ApiError
from .day_counters import DayCounters
from .keys import ApiKey, digest_of


class Admission:
    """Admits clients by their keys, and counts what each key uses of its day. `keys` is None on an open server."""

    def __init__(self, keys: Sequence[ApiKey] | None, counters: DayCounters) -> None:
        self._keys = keys
        self._limited = {key.name for key in keys or () if key.usd_per_day is not None}
        self._counters = counters

    @property
    def open(self) -> bool:
        """Whether the server asks for no key."""
        return self._keys is None

    @property
    def closed(self) -> bool:
        """Whether the server asks for a key and knows none, so that nobody is admitted."""
        return self._keys is not None and not self._keys

    def authenticate(self, authorization: str | None) -> ApiKey | None:
        """Returns the key in an Authorization header, None on an open server. Raises ApiError, a 401."""
        if self._keys is None:
            return None
        scheme, _, credentials = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not credentials.strip():
            raise _unauthorized("No API key was given; send `Authorization: Bearer KEY`.")
        digest = digest_of(credentials.strip())
        match = None
        for key in self._keys:
            # Every key is compared, whichever matches, so that the time taken reveals nothing.
            if hmac.compare_digest(key.sha256, digest):
                match = key
        if match is None:
            raise _unauthorized("The API key is not known here.")
        return match

    def begin(self, key: ApiKey) -> None:
        """Counts a request that begins. Raises ApiError, a 429, if the key's day is used up."""
        limit = key.usd_per_day
        if limit is not None and self._counters.get(f"usd:{key.name}") >= picodollars(limit):
            raise _used_up(f"The key `{key.name}` has spent its {limit} USD for today.")
        if key.requests_per_day is not None:
            count = self._counters.add(f"requests:{key.name}", 1)
            if count > key.requests_per_day:
                raise _used_up(f"The key `{key.name}` has made its {key.requests_per_day} requests for today.")

    def record(self, request: EndedRequest) -> None:
        """Counts what a request cost towards its key's day, if the key's dollars are limited."""
        if request.key in self._limited and request.ledger.total_cost:
            self._counters.add(f"usd:{request.key}", picodollars(request.ledger.total_cost))


def _unauthorized(message: str) -> ApiError:
    return ApiError(
        401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"}, retryable=False
    )  # fmt: skip


def _used_up(message: str) -> ApiError:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return ApiError(
        429, message, code="insufficient_quota", retry_after=(midnight - now).total_seconds(), retryable=False
    )
