"""The journal of a calibration: a file that keeps every answer, grade and payment, so that a run can be resumed.

Each line is a JSON object. A line is appended by one write, so that a crash loses at most the last line. The
worst-case cost of a call is recorded as reserved before the call, and the cost is recorded as settled after the call. A
reservation that was never settled, because the program was killed, counts as spent.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Self

from rl_router_api.accounting.money import total

from ..errors import LabError

_VERSION = 1


def key_of(*parts: object) -> str:
    """Returns a key by which the journal finds an answer or a grade: a hash of everything that it depends on."""
    text = json.dumps([part.decode() if isinstance(part, bytes) else part for part in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """An open journal. Only one process at a time can open a journal.

    The attribute `records` contains the answers, grades and verdicts by key.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.records: dict[str, dict[str, Any]] = {}
        self._reserved: dict[int, Decimal] = {}
        self._settled = Decimal(0)
        self._next = 1
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    @property
    def spent(self) -> Decimal:
        """The money in US dollars that is settled, or reserved and not settled."""
        return total([*self._reserved.values(), self._settled])

    def reserve(self, dollars: Decimal) -> int:
        """Records that a call may cost the given amount. Returns the number of the reservation."""
        number, self._next = self._next, self._next + 1
        self._append({"reserved": number, "usd": str(dollars)})
        self._reserved[number] = dollars
        return number

    def settle(self, number: int, dollars: Decimal) -> None:
        """Records the cost that replaces a reservation."""
        self._append({"settled": number, "usd": str(dollars)})
        self._take({"settled": number, "usd": str(dollars)})

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Records an answer, a grade or a verdict."""
        self._append({"key": key, **record})
        self.records[key] = record

    def _append(self, line: dict[str, Any]) -> None:
        data = f"{json.dumps(line)}\n".encode()
        try:
            is_written = os.write(self._descriptor, data) == len(data)
        except OSError:
            is_written = False
        if not is_written:
            raise LabError(f"{self._file}: cannot be written. Free some space on the disk and run again")

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"{self._file}: another calibration writes this file. Wait until it has ended") from None

    def _read(self) -> None:
        content = self._file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.ftruncate(self._descriptor, len(whole))
        lines = whole.splitlines()
        if not lines:
            self._append({"calibration": _VERSION})
            return
        for number, line in enumerate(lines, 1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation):
                remedy = "Delete the line, or begin with another --out"
                raise LabError(f"{self._file}, line {number}: is no record of a calibration. {remedy}") from None

    def _take(self, line: dict[str, Any]) -> None:
        if "key" in line:
            self.records[line["key"]] = {name: value for name, value in line.items() if name != "key"}
        elif "reserved" in line:
            self._reserved[line["reserved"]] = Decimal(line["usd"])
            self._next = max(self._next, line["reserved"] + 1)
        elif "settled" in line:
            del self._reserved[line["settled"]]
            self._settled = total([self._settled, Decimal(line["usd"])])
        elif line.get("calibration") != _VERSION:
            raise ValueError
