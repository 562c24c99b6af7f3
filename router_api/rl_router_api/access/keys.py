"""The file of the clients' API keys: hashed at rest, each with a name and optional limits for a day."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from ..config import Dollars, Schema
from ..errors import KeysError

_PREFIX = "rr-"


class ApiKey(Schema):
    """An entry of the keys file. Its limits hold for a day (UTC) and for one server with all its workers."""

    name: str = Field(min_length=1, max_length=128)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the key, in hex")
    requests_per_day: int | None = Field(None, ge=1)
    usd_per_day: Dollars | None = None


_KEYS = TypeAdapter(tuple[ApiKey, ...])


def new_key(name: str) -> tuple[str, str]:
    """Returns a new key, and its entry for the keys file as YAML."""
    key = _PREFIX + secrets.token_urlsafe(32)
    entry = [{"name": name, "sha256": digest_of(key)}]
    return key, yaml.safe_dump(entry, sort_keys=False, allow_unicode=True)


def digest_of(key: str) -> str:
    """Returns a key's SHA-256 in hex, as the keys file has it."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: str) -> tuple[ApiKey, ...]:
    """Returns the keys of a file. A missing file has no keys, so it admits nobody. Raises KeysError."""
    keys = _validated(path, _entries(path))
    names = [key.name for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise KeysError(path, f"two keys are called `{name}`; give each a name of its own")
    return keys


def as_file(keys: Sequence[ApiKey]) -> bytes:
    """Returns a keys file from which `read_keys` reads these keys."""
    entries = [key.model_dump(mode="json", exclude_none=True) for key in keys]
    return yaml.safe_dump(entries, sort_keys=False).encode()


def _entries(path: str) -> object:
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        # PyYAML raises ValueError for an impossible date. Text that is not UTF-8 is a ValueError too.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise KeysError(path, f"cannot be read: {reason}") from None


def _validated(path: str, entries: object) -> tuple[ApiKey, ...]:
    try:
        return _KEYS.validate_python(entries or [])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise KeysError(path, f"{field}: {first['msg'].removeprefix('Value error, ')}") from None
