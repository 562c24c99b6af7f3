"""Brings rows of files into the tidy form: one row per prompt, with maps by the name of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import LabError
from .records import read_records

REQUIRED = ("id", "prompt", "model", "score")
_NUMBERS = ("score", "output_tokens", "cost")
_CONVERSATION = ("prompt", "messages", "tools")
_MAPS = {"scores": "score", "output_tokens": "output_tokens", "cost": "cost", "answers": "answer"}
"""The maps of the tidy form, and the columns of a file with one answer per row that the maps are made of."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Imported:
    """The rows in the tidy form by id, and why how many rows of the files were left out."""

    rows: dict[str, Row] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def records(self, file: Path) -> list[tuple[Path, int, Row]]:
        """Returns the rows as if they were the rows of a file."""
        return [(file, number, row) for number, row in enumerate(self.rows.values(), 1)]


def imported(files: Sequence[Path], columns: Mapping[str, str], join: Path | None = None) -> Imported:
    """Returns the rows of several files in the tidy form. Raises LabError.

    The argument `columns` contains the names of the columns that have other names than in the tidy form. The argument
    `join` names a table in the tidy form. Each row of the files then gets the prompt, the task, the family and the
    other fields of the table's row with the same id, and the output tokens of the same id and model.
    """
    known = None if join is None else {str(row.get("id")): row for _, row in read_records(join)}
    found = Imported()
    for file in files:
        for number, row in read_records(file):
            named = {name: row.get(columns.get(name, name)) for name in _names(row, columns)}
            reason = _add(found.rows, file, number, named, known)
            if reason:
                found.left_out[reason] += 1
    return found


def _names(row: Row, columns: Mapping[str, str]) -> Iterable[str]:
    return (set(row) - set(columns.values())) | set(columns)


def _add(rows: dict[str, Row], file: Path, number: int, row: Row, known: Mapping[str, Row] | None) -> str | None:
    """Adds a row to the table. Returns why the row was left out, or None."""
    if known is not None:
        same = known.get(str(row.get("id")))
        if same is None:
            return "whose `id` is not in the joined table"
        row = _completed(row, same)
    if isinstance(row.get("scores"), dict):
        _merge(rows, file, number, {**row, "id": str(row.get("id") or f"{file.stem}-{number}")})
        return None
    has_prompt = bool(row.get("messages"))
    missing = [name for name in REQUIRED if row.get(name) in (None, "") and not (name == "prompt" and has_prompt)]
    if missing:
        return f"without `{missing[0]}`"
    numbers = {name: _number(row.get(name)) for name in _NUMBERS}
    if numbers["score"] is None or not 0 <= numbers["score"] <= 1:
        return "with a `score` that is not a number between 0 and 1"
    _merge(rows, file, number, _tidy(row, numbers))
    return None


def _completed(row: Row, same: Row) -> Row:
    """Returns a row with the fields of the joined table's row `same`, and the maps or the numbers of its own."""
    fields = {name: value for name, value in same.items() if name not in _MAPS}
    own = {name: value for name, value in row.items() if name not in _CONVERSATION}
    if isinstance(row.get("scores"), dict):
        return {**own, **fields}
    tokens = (same.get("output_tokens") or {}).get(row.get("model"))
    return {**({} if tokens is None else {"output_tokens": tokens}), **own, **fields}


def _tidy(row: Row, numbers: Mapping[str, float | None]) -> Row:
    """Returns a row with one answer in the tidy form. Columns that the tidy form does not have are left out."""
    fields = (*_CONVERSATION, "task", "family", "overlaps")
    tidy = {name: row[name] for name in fields if row.get(name) not in (None, "")}
    model, answer = str(row["model"]), row.get("answer")
    values = {**numbers, "answer": answer if isinstance(answer, str) else None}
    maps = {name: {model: values[column]} for name, column in _MAPS.items() if values[column] is not None}
    return {"id": str(row["id"]), **tidy, **maps}


def _merge(rows: dict[str, Row], file: Path, number: int, row: Row) -> None:
    known = rows.setdefault(row["id"], row)
    if known is row:
        return
    if known.get("prompt") != row.get("prompt") or known.get("messages") != row.get("messages"):
        raise LabError(f"{file}, row {number}: the id `{row['id']}` has two prompts. Give each prompt its own id")
    for name in _MAPS:
        if row.get(name):
            known[name] = {**(known.get(name) or {}), **row[name]}


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return float(value)
    try:
        return float(value)  # type: ignore[arg-type]  # float() raises an error for other types
    except (TypeError, ValueError):
        return None
