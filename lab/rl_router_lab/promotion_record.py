"""Counts the tests of the guard in a folder of artefacts: the file `tests.json`.

A policy without a gain would pass sooner or later if the same prompts tested it again and again. So each test on
prompts that were tested before has a smaller level, also if the prompts have other ids or belong to another artefact.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_router_policy.evidence import COLUMNS, Evidence

from .errors import LabError

FILE = "tests.json"
_LOCK = ".tests.lock"


@dataclass(frozen=True)
class Test:
    """A comparison of an artefact with the constants at one value of a good answer, in units."""

    __test__ = False

    artefact: str
    units: int | None
    evidence: Evidence

    @property
    def id(self) -> str:
        """The hash of everything on which the result depends. The same test again is no other test."""
        digest = hashlib.sha256(repr((self.artefact, self.units, self.evidence.targets)).encode())
        digest.update(repr((self.evidence.prices, self.evidence.prompts, self.evidence.folds)).encode())
        for name in ("input_tokens", *COLUMNS):
            digest.update(getattr(self.evidence, name).tobytes())
        return digest.hexdigest()


@dataclass
class Record:
    """The tests in a folder of artefacts. The attribute `revision` is the number of tries to promote an artefact.

    The attribute `tests` contains the prompts of each test by the id of the test, in the order of the tests.
    """

    file: Path
    revision: int
    tests: dict[str, frozenset[str]]

    def count(self, test: Test) -> int:
        """Returns the number of a test among the tests that share a prompt with it, and records the test."""
        prompts = frozenset(test.evidence.prompts)
        earlier = []
        for id_, other in self.tests.items():
            if id_ == test.id:
                break
            earlier.append(not prompts.isdisjoint(other))
        self.tests.setdefault(test.id, prompts)
        return 1 + sum(earlier)

    def save(self) -> None:
        """Writes the file. An old file is replaced only when the new file is complete."""
        tests = [{"id": id_, "prompts": sorted(prompts)} for id_, prompts in self.tests.items()]
        fields = {"revision": self.revision, "tests": tests}
        write_whole(self.file, json.dumps(fields, separators=(",", ":")) + "\n")


@contextmanager
def open_record(folder: Path) -> Iterator[Record]:
    """Yields the tests in a folder, which no other process can change in the meantime. Raises LabError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _read(folder / FILE)


def write_whole(file: Path, text: str) -> None:
    """Writes a file and waits until the disk has stored it. An old file is replaced only by the complete new file."""
    partial = file.with_name(f".{file.name}.partial")
    with partial.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)


def _read(file: Path) -> Record:
    if not file.exists():
        return Record(file, 0, {})
    try:
        fields: Any = json.loads(file.read_bytes())
        tests = {str(test["id"]): frozenset(map(str, test["prompts"])) for test in fields["tests"]}
        return Record(file, int(fields["revision"]), tests)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"{file}: is damaged: {error!r}. Restore the file from a copy, or promote to a new folder"
        raise LabError(message) from None
