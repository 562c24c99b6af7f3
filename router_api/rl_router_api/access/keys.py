"""The keys file: a list of the clients' API keys as hashes, each with a name and optional daily limits."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from ..config import Dollars, Schema
from ..config.yaml_file import value_of
from ..errors import KeysError

_PREFIX = "rr-"


class ApiKey(Schema):
    """An entry of the keys file: the name, the hash and the optional daily limits of an API key.

    The limits of a key apply per day (UTC) to all workers of a server together.
    """

    name: str = Field(min_length=1, max_length=128)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 hash of the API key, as lowercase hex")
    requests_per_day: int | None = Field(None, ge=1)
    usd_per_day: Dollars | None = None


_KEYS = TypeAdapter(tuple[ApiKey, ...])


def new_key(name: str) -> tuple[str, str]:
    """Returns a new API key, and the entry of this key for the keys file as YAML text."""
    key = _PREFIX + secrets.token_urlsafe(32)
    entry = [{"name": name, "sha256": digest_of(key)}]
    return key, yaml.safe_dump(entry, sort_keys=False, allow_unicode=True)


def digest_of(key: str) -> str:
    """Returns the SHA-256 hash of an API key as 64 lowercase hexadecimal digits, as in the keys file."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: str) -> tuple[ApiKey, ...]:
    """Returns the entries of the keys file `path`.

    A missing keys file counts as a file without keys, so that the server rejects every client. Raises KeysError if the
    file is invalid or cannot be read.
    """
    keys = _validated(path, _entries(path))
    if name := _repeated([key.name for key in keys]):
        raise KeysError(path, f"name: two keys have the name `{name}`. Give each key a unique name.")
    if sha256 := _repeated([key.sha256 for key in keys]):
        first, second, *_ = (key.name for key in keys if key.sha256 == sha256)
        raise KeysError(path, f"sha256: the keys `{first}` and `{second}` are the same key. Remove one of them.")
    return keys


def as_file(keys: Sequence[ApiKey]) -> bytes:
    """Returns the content of a keys file with the entries `keys`."""
    entries = [key.model_dump(mode="json", exclude_none=True) for key in keys]
    return yaml.safe_dump(entries, sort_keys=False).encode()


def _repeated(values: Sequence[str]) -> str | None:
    """Returns a value that occurs more than once in the sequence, or None if each value is unique."""
    return next((value for value, count in Counter(values).items() if count > 1), None)


def _entries(path: str) -> object:
    try:
        return value_of(_text(path))
    except ValueError as error:
        raise KeysError(path, f"{error}. Fix the syntax of the file.") from None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        # Decoding text that is not UTF-8 raises a ValueError.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise KeysError(
            path, f"cannot be read: {reason}. Fix the path, the permissions or the encoding (UTF-8) of the file."
        ) from None


def _validated(path: str, entries: object) -> tuple[ApiKey, ...]:
    try:
        return _KEYS.validate_python([] if entries is None else entries)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if not field:
            raise KeysError(path, "the file is not a list. Write a list with an entry for each key.") from None
        # The message does not contain the value, which may be an API key instead of its hash.
        reason = first["msg"].removeprefix("Value error, ").rstrip(".")
        remedy = "Fix this field. `rl-router new-key NAME` prints a valid entry."
        raise KeysError(path, f"{field}: {reason}. {remedy}") from None
