"""Daily counters in a small table of shared memory, which all workers of one server use."""

from __future__ import annotations

import fcntl
import mmap
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..shared_memory import hashed, make_table

_SLOTS = 16_384
_SLOT = struct.Struct("<Qq")
_HEADER = struct.Struct("<QQ")
"""The current day as the number of days since 1970, and the monotonic time in seconds at which this day began."""
_SIZE = _HEADER.size + _SLOTS * _SLOT.size
_DAY = 86_400
_MAXIMUM = 2**63 - 1
"""The maximum of a counter: about nine million US dollars in picodollars. Larger sums are capped, because a target may
report an implausibly high usage."""


class DayCounters:
    """Named integer counters that are reset to 0 at midnight UTC.

    `path` is the file that contains the table. The supervisor process of the workers creates this file. If `path` is
    None, the table is private to this process. The table has room for 16,384 names. Each API key needs at most two
    names: one for its number of requests and one for its cost. A full table ignores new names.
    """

    def __init__(self, path: str | None = None) -> None:
        self._file = open(path, "r+b", buffering=0) if path else None  # noqa: SIM115 - kept open for its lock
        self._table = mmap.mmap(self._file.fileno() if self._file else -1, _SIZE)

    def add(self, name: str, amount: int) -> int:
        """Adds `amount` to the counter `name` and returns today's sum."""
        with self._locked():
            self._begin_day()
            offset, value = self._find(name)
            if offset is None:
                return value
            value = min(value + amount, _MAXIMUM)
            _SLOT.pack_into(self._table, offset, hashed(name), value)
            return value

    def get(self, name: str) -> int:
        """Returns today's sum of the counter `name`."""
        with self._locked():
            self._begin_day()
            return self._find(name)[1]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The wait for this lock may block the event loop, because every process holds the lock for microseconds only.
        if self._file is None:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _begin_day(self) -> None:
        """Resets the counters on a new day. If the clock was set back, the current day lasts at most 24 hours."""
        today, now = int(time.time()) // _DAY, int(time.monotonic())
        day, begun = _HEADER.unpack_from(self._table, 0)
        if today > day or (today < day and now - begun >= _DAY):
            self._table[:] = bytes(_SIZE)
            _HEADER.pack_into(self._table, 0, today, now)

    def _find(self, name: str) -> tuple[int | None, int]:
        """Returns the offset and value of the name's slot, or of a free slot if the name is new.

        The offset is None if the table is full.
        """
        key = hashed(name)
        for step in range(_SLOTS):
            offset = _HEADER.size + (key + step) % _SLOTS * _SLOT.size
            stored, value = _SLOT.unpack_from(self._table, offset)
            if stored in (key, 0):
                return offset, value
        return None, 0


def make_counter_table(folder: str) -> str:
    """Creates a file with an empty table in `folder` and returns its path. The caller removes the file."""
    return make_table(folder, "counters-", _SIZE)
