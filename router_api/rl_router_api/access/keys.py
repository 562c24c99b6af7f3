"""Who may use the server: API keys from a file, hashed at rest, each with a name and, if wanted, limits for a day."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from ..accounting.money import picodollars
from ..config import Dollars, Schema
from ..errors import ApiError, KeysError
from .day_counters import Counters

_PREFIX = "rr-"


class ApiKey(Schema):
    """An entry of the keys file; limits hold for a day (UTC) and for one server over all its workers."""

    name: str = Field(min_length=1, max_length=128)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the key, in hex")
    requests_per_day: int | None = Field(None, ge=1)
    usd_per_day: Dollars | None = None


_KEYS = TypeAdapter(tuple[ApiKey, ...])


def new_key(name: str) -> tuple[str, str]:
    """A new key, and its entry for the keys file as YAML."""
    key = _PREFIX + secrets.token_urlsafe(32)
    entry = [{"name": name, "sha256": _digest(key)}]
    return key, yaml.safe_dump(entry, sort_keys=False, allow_unicode=True)


def read_keys(path: str) -> tuple[ApiKey, ...]:
    """The keys of a file; none where the file is not there, so that then nobody gets in. Raises KeysError."""
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        # A date that does not exist is a ValueError to PyYAML, as is what is no UTF-8.
        problem = getattr(error, "strerror", None) or type(error).__name__
        raise KeysError(path, f"cannot be read: {problem}") from None
    try:
        keys = _KEYS.validate_python(entries or [])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise KeysError(path, f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    names = [key.name for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise KeysError(path, f"two keys are called `{name}`; give each a name of its own")
    return keys


def as_file(keys: Sequence[ApiKey]) -> bytes:
    """What `read_keys` would read as these keys."""
    entries = [key.model_dump(mode="json", exclude_none=True) for key in keys]
    return yaml.safe_dump(entries, sort_keys=False).encode()


class Access:
    """Decides who gets in, and counts what each key uses of its day."""

    def __init__(self, keys: Sequence[ApiKey] | None, counters: Counters) -> None:
        self._keys = keys
        self._counters = counters

    @property
    def open(self) -> bool:
        """Whether no keys are wanted."""
        return self._keys is None

    @property
    def closed(self) -> bool:
        """Whether keys are wanted and there are none: nobody gets in."""
        return self._keys is not None and not self._keys

    def admit(self, authorization: str | None) -> ApiKey | None:
        """The key that an Authorization header carries; None where none is wanted. Raises ApiError, a 401."""
        if self._keys is None:
            return None
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise _refused("No API key was given; send `Authorization: Bearer KEY`.")
        digest = _digest(given.strip())
        found = None
        for key in self._keys:
            # Every key is looked at, whichever matches, so that the time taken tells nothing.
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if found is None:
            raise _refused("The API key is not known here.")
        return found

    def begin(self, key: ApiKey) -> None:
        """Counts a request. Raises ApiError, a 429, where the key's day is used up."""
        most = key.usd_per_day
        if most is not None and self._counters.get(f"usd:{key.name}") >= picodollars(most):
            raise _used_up(f"The key `{key.name}` has spent its {most} USD of today.")
        if key.requests_per_day is not None:
            count = self._counters.add(f"requests:{key.name}", 1)
            if count > key.requests_per_day:
                raise _used_up(f"The key `{key.name}` has made its {key.requests_per_day} requests of today.")

    def spend(self, key: ApiKey, cost: Decimal) -> None:
        """Books what a request cost."""
        if key.usd_per_day is not None and cost > 0:
            self._counters.add(f"usd:{key.name}", picodollars(cost))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _refused(message: str) -> ApiError:
    return ApiError(
        401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"}, retryable=False
    )  # fmt: skip


def _used_up(message: str) -> ApiError:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return ApiError(
        429, message, code="insufficient_quota", retry_after=(midnight - now).total_seconds(), retryable=False
    )
