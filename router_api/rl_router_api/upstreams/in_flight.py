"""Counts in-flight requests, in-flight calls and pending bytes of request bodies in all workers of a server."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

from ..shared_memory import hashed, make_table

_CELLS = 4096
"""The maximum number of names, such as upstreams and API keys, for which a worker can share counts above 0."""
_CELL = struct.Struct("<Qq")
_ROW = _CELLS * _CELL.size


@dataclass(frozen=True)
class WorkerRow:
    """One worker's row in the shared table: the path of the table's file, the row's index, and the number of rows."""

    path: str
    index: int
    rows: int


class InFlight:
    """Counts in-flight requests, in-flight calls and bytes of unfinished or decompressed request bodies by name.

    Each worker writes only its own row of the table, so that no worker waits for another worker. The worker that
    replaces a dead worker takes over the row of the dead worker and clears the row.
    """

    def __init__(self, row: WorkerRow | None = None) -> None:
        self._own: dict[str, int] = {}
        self._row = row
        self._table: mmap.mmap | None = None
        if row is not None:
            with open(row.path, "r+b") as file:
                self._table = mmap.mmap(file.fileno(), row.rows * _ROW)
            self._table[row.index * _ROW : (row.index + 1) * _ROW] = bytes(_ROW)

    def change(self, name: str, by: int) -> None:
        """Adds `by` to this worker's count for a name. At the end of a request, call or body, `by` is negative."""
        count = self._own[name] = self._own.get(name, 0) + by
        if self._table is not None and self._row is not None:
            offset = self._find(self._row.index, name, to_write=True)
            if offset is not None:
                _CELL.pack_into(self._table, offset, hashed(name), count)

    def total(self, name: str) -> int:
        """Returns the sum of all workers' counts for a name."""
        own = self._own.get(name, 0)
        if self._row is None:
            return own
        return own + sum(self._count(index, name) for index in range(self._row.rows) if index != self._row.index)

    def _count(self, index: int, name: str) -> int:
        offset = self._find(index, name)
        return 0 if offset is None or self._table is None else int(_CELL.unpack_from(self._table, offset)[1])

    def _find(self, index: int, name: str, *, to_write: bool = False) -> int | None:
        """Returns the offset of a name's cell, or the offset of a free cell for the name, or None if the row is full.

        A new name may reuse the cell of a name whose count is 0.
        """
        key, reusable = hashed(name), None
        for step in range(_CELLS):
            offset = index * _ROW + (key + step) % _CELLS * _CELL.size
            stored, count = _CELL.unpack_from(self._table, offset) if self._table is not None else (0, 0)
            if stored == key:
                return offset
            if stored == 0:
                return offset if reusable is None else reusable
            if to_write and count == 0 and reusable is None:
                reusable = offset
        return reusable


def make_in_flight_table(folder: str, rows: int) -> str:
    """Creates an empty table in `folder` and returns the path of the table's file. The caller must remove the file."""
    return make_table(folder, "in-flight-", rows * _ROW)
