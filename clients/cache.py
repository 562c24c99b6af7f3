"""A cache of environments. The name of each environment contains a hash of everything that determines its contents.

An environment is created in its final folder, because a virtual environment cannot be moved. The installation writes a
stamp file at its end, so a folder with a stamp is complete. The folder's modification time is the time of the last use.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

UNUSED = 30 * 24 * 3600.0
"""Seconds after which an unused environment is removed if it matches no lock file."""
LOCK_TIMEOUT = 180.0
"""Maximum seconds to wait for another run that installs the same environment."""


class CacheError(Exception):
    """An error of the cache folder. The message is one line and says how to fix it."""


class BusyError(Exception):
    """A lock of an environment that another run holds."""


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Returns the cache folder that the environment variables select."""
    if selected := environment.get("CLIENTS_CACHE"):
        return Path(selected).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rl-router" / "clients"


class Cache:
    """A cache in one folder. `pause` waits the given seconds between two attempts to get a lock."""

    def __init__(self, folder: Path, pause: Callable[[float], None] = time.sleep) -> None:
        self._folder = folder
        self._pause = pause

    def require_writable(self) -> None:
        """Raises CacheError if the folder cannot be created or written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder):
                pass
        except OSError as error:
            reason = f"the clients' cache {self._folder} cannot be written: {error.strerror}"
            raise CacheError(f"{reason}. Set CLIENTS_CACHE to a writable folder") from None

    def home(self, name: str, inputs: list[bytes]) -> Path:
        """Returns the folder of an environment, which may not exist yet.

        The folder's name contains a hash of `inputs`.
        """
        key = hashlib.sha256(b"\0".join(inputs)).hexdigest()[:16]
        return self._folder / f"{name}-{key}"

    def ensure(self, home: Path, install: Callable[[Path], None]) -> None:
        """Calls `install` to fill the folder `home`, unless the folder is complete.

        Raises BusyError if another run holds the lock for longer than LOCK_TIMEOUT.
        """
        with self._locked(home, LOCK_TIMEOUT):
            if not _is_complete(home):
                if home.exists():
                    shutil.rmtree(home)
                home.mkdir()
                install(home)
                _stamp(home).write_text(str(home))
            os.utime(home)

    def remove_stale(self, current: Collection[Path]) -> None:
        """Removes environments that are not in `current`, are not in use, and were not used for 30 days."""
        # The cache folder may contain other files, so only folders with a lock count as environments.
        for lock in self._folder.glob(f"*-{'[0-9a-f]' * 16}.lock"):
            home = lock.with_suffix("")
            if home not in current and _is_unused(home):
                with suppress(BusyError), self._locked(home, 0):
                    # Another run may have used the environment before this run got the lock.
                    if _is_unused(home):
                        shutil.rmtree(home, ignore_errors=True)

    @contextmanager
    def _locked(self, home: Path, timeout: float) -> Iterator[None]:
        end = time.monotonic() + timeout
        with home.with_name(f"{home.name}.lock").open("w") as lock:
            while not _acquire(lock.fileno()):
                if time.monotonic() >= end:
                    raise BusyError
                self._pause(0.1)
            yield


def _acquire(lock: int) -> bool:
    """Tries to get the lock. Returns whether this process now holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stamp(home: Path) -> Path:
    return home / ".complete"


def _is_complete(home: Path) -> bool:
    """Returns whether the environment was installed completely in this folder and still has its interpreter."""
    stamp, python = _stamp(home), home / "bin" / "python"
    is_dangling = python.is_symlink() and not python.exists()
    return stamp.exists() and stamp.read_text() == str(home) and not is_dangling


def _is_unused(home: Path) -> bool:
    return home.exists() and time.time() - home.stat().st_mtime > UNUSED
