"""How many requests and calls are under way, over all workers of one server."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

from ..access.day_counters import hashed, make_table

_CELLS = 256
_CELL = struct.Struct("<Qq")
_ROW = _CELLS * _CELL.size


@dataclass(frozen=True)
class Place:
    """A worker's row in the table that all workers of a server map: its file, the worker's number, how many rows."""

    path: str
    row: int
    rows: int


class Flight:
    """Counts by name. Each worker writes its own row alone, so that none waits for another, and one that died is
    forgotten when its successor takes the row."""

    def __init__(self, place: Place | None = None) -> None:
        self._own: dict[str, int] = {}
        self._place = place
        self._table: mmap.mmap | None = None
        if place is not None:
            with open(place.path, "r+b") as file:
                self._table = mmap.mmap(file.fileno(), place.rows * _ROW)
            self._table[place.row * _ROW : (place.row + 1) * _ROW] = bytes(_ROW)

    def change(self, name: str, by: int) -> None:
        """Something of that name begins or ends in this worker."""
        count = self._own.get(name, 0) + by
        if count:
            self._own[name] = count
        else:
            self._own.pop(name, None)
        if self._table is not None and self._place is not None:
            offset = self._find(self._place.row, name, to_write=True)
            if offset is not None:
                _CELL.pack_into(self._table, offset, hashed(name), count)

    def total(self, name: str) -> int:
        """How many are under way in all workers."""
        own = self._own.get(name, 0)
        if self._place is None:
            return own
        return own + sum(self._count(row, name) for row in range(self._place.rows) if row != self._place.row)

    def _count(self, row: int, name: str) -> int:
        offset = self._find(row, name)
        return 0 if offset is None or self._table is None else int(_CELL.unpack_from(self._table, offset)[1])

    def _find(self, row: int, name: str, *, to_write: bool = False) -> int | None:
        """The cell that holds a name or is free for it; None where the row is full.

        A name of which nothing is under way any more leaves its cell to a new one.
        """
        key, left = hashed(name), None
        for step in range(_CELLS):
            offset = row * _ROW + (key + step) % _CELLS * _CELL.size
            found, count = _CELL.unpack_from(self._table, offset) if self._table is not None else (0, 0)
            if found == key:
                return offset
            if found == 0:
                return offset if left is None else left
            if to_write and count == 0 and left is None:
                left = offset
        return left


def make_flight_table(folder: str, rows: int) -> str:
    """A new, empty table's file in `folder`, which its maker removes."""
    return make_table(folder, "flight-", rows * _ROW)
