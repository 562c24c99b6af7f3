"""The API key of an upstream, from an environment variable or a file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..config import Secret

_READ_EVERY = 1.0
"""The minimum number of seconds between two reads of the file that contains an API key."""


class Key:
    """An API key from an environment variable or a file.

    When the key is used, the file is read again, but at most once per second. A new key in the file needs no restart.
    """

    def __init__(
        self, secret: Secret, environment: Mapping[str, str] = os.environ, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._variable, self._file, self._environment = secret.api_key_env, secret.api_key_file, environment
        self._now = now
        self.configured = bool(self._variable or self._file)
        self._read_at = -_READ_EVERY
        self._text = ""

    @property
    def value(self) -> str:
        """The API key, or an empty text if the key is missing or not configured."""
        if self._variable:
            return self._environment.get(self._variable, "").strip()
        if self._file and self._now() - self._read_at >= _READ_EVERY:
            self._read_at = self._now()
            self._text = self._read()
        return self._text

    @property
    def missing(self) -> str | None:
        """The reason why a configured key is missing, or None if the key is present or not configured."""
        if not self.configured or self.value:
            return None
        if not self._variable:
            return f"{self._file} is missing, empty or unreadable"
        return f"{self._variable} is {'empty' if self._variable in self._environment else 'not set'}"

    def _read(self) -> str:
        try:
            return Path(self._file or "").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""
