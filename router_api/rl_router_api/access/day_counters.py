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
"""The header of the table: the day of the last reset as the number of days since 1970-01-01, and the monotonic time of
this reset in seconds."""
_SIZE = _HEADER.size + _SLOTS * _SLOT.size
_DAY = 86_400
_MAXIMUM = 2**63 - 1
"""The maximum of a counter: about nine million US dollars in picodollars. Larger sums are reduced to the maximum of a
counter, because a target may report an implausibly high usage."""


class DayCounters:
    """Named integer counters that are reset to 0 at midnight UTC.

    The argument `path` is the path of the file that contains the table of counters. The supervisor process of the
    workers creates the file of the table. If `path` is None, the table is private to this process. The table of
    counters has room for 16,384 counters, each with a different name. Each API key needs at most two counters: one for
    the number of requests and one for the cost. If the table is full, counters with new names are not stored.
    """

    def __init__(self, path: str | None = None) -> None:
        self._file = open(path, "r+b", buffering=0) if path else None  # noqa: SIM115 - kept open for its lock
        self._table = mmap.mmap(self._file.fileno() if self._file else -1, _SIZE)

    def add(self, name: str, amount: int) -> int:
        """Adds `amount` to the counter `name` and returns today's sum, or 0 if the table has no room for it."""
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
        """Resets the counters on a new day (UTC).

        Also resets the counters if the system clock was set back and, 24 hours after the previous reset, still shows an
        earlier day.
        """
        today, now = int(time.time()) // _DAY, int(time.monotonic())
        day, begun = _HEADER.unpack_from(self._table, 0)
        if today > day or (today < day and now - begun >= _DAY):
            self._table[:] = bytes(_SIZE)
            _HEADER.pack_into(self._table, 0, today, now)

    def _find(self, name: str) -> tuple[int | None, int]:
        """Returns the offset of the slot of the counter `name`, and the value of this counter.

        If the name is new, returns the offset of a free slot and the value 0. The offset is None if the name is new and
        the table is full.
        """
        key = hashed(name)
        for step in range(_SLOTS):
            offset = _HEADER.size + (key + step) % _SLOTS * _SLOT.size
            stored, value = _SLOT.unpack_from(self._table, offset)
            if stored in (key, 0):
                return offset, value
        return None, 0


def make_counter_table(folder: str) -> str:
    """Creates a file with an empty table in the folder `folder` and returns the path of the file.

    The caller of the function must remove the file.
    """
    return make_table(folder, "counters-", _SIZE)
