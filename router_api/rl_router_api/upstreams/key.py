"""The key with which an upstream is called: from an environment variable, or a file that is read again each second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..config import Secret

_LOOK_AGAIN = 1.0
"""Seconds after which a key's file is read again."""


class Key:
    """A key by environment variable or file. The file is read again each second, so that a new key is used."""

    def __init__(
        self, secret: Secret, environment: Mapping[str, str] = os.environ, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._variable, self._file, self._environment = secret.api_key_env, secret.api_key_file, environment
        self._now = now
        self.configured = bool(self._variable or self._file)
        self._looked = -_LOOK_AGAIN
        self._text = ""

    @property
    def value(self) -> str:
        """The key; empty if none is configured or it is not there."""
        if self._variable:
            return self._environment.get(self._variable, "").strip()
        if self._file and self._now() - self._looked >= _LOOK_AGAIN:
            self._looked = self._now()
            self._text = self._read()
        return self._text

    @property
    def missing(self) -> str | None:
        """Why a configured key is not there, in a few words."""
        if not self.configured or self.value:
            return None
        return f"{self._variable} is not set" if self._variable else f"{self._file} is missing or empty"

    def _read(self) -> str:
        try:
            return Path(self._file or "").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""
