"""`rl-router lab import`: converts outcomes to the tidy form (one prompt per row) that the other commands read.

Each input file is in the tidy form, or has one answer per row with the columns `id`, `prompt`, `model` and `score`, and
optionally `task`, `family`, `output_tokens` and `cost`. Names of CSV files end in .csv or .csv.gz, and names of
Parquet files in .parquet. Other files are JSONL, compressed with gzip if the name ends in .gz. The option
--column gives other column names.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import LabError
from ..records import read_records, write_records

_ANSWER = ("id", "prompt", "model", "score")
_NUMBERS = ("score", "output_tokens", "cost")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "import", help="convert outcomes to tables with one prompt per row", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="file with outcomes")
    parser.add_argument("--out", type=Path, required=True, metavar="TABLE", help="file for the table (JSONL)")
    parser.add_argument(
        "--column", action="append", default=[], metavar="NAME=COLUMN",
        help="read NAME, such as `score`, from the column COLUMN. Repeat the option for several columns",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the table, and prints how many rows were left out for each reason. Raises LabError or OSError."""
    columns = dict([_column(text) for text in options.column])
    left_out, prompts = Counter[str](), dict[str, dict[str, Any]]()
    for file in options.files:
        for number, row in read_records(file):
            reason = _add(
                prompts, file, number, {name: row.get(columns.get(name, name)) for name in _names(row, columns)}
            )
            if reason:
                left_out[reason] += 1
    if not prompts:
        reason = f"no row has all the columns {', '.join(_ANSWER)}, with a score from 0 to 1"
        raise LabError(f"{options.files[0]}: {reason}. Name the columns with --column, or correct the rows")
    write_records(options.out, prompts.values())
    models = {model for row in prompts.values() for model in row["scores"]}
    print(f"{options.out}: {len(prompts):,} prompts, {len(models)} models")
    for reason, count in left_out.items():
        print(f"left out: {count:,} rows {reason}")


def _column(text: str) -> tuple[str, str]:
    name, sign, column = text.partition("=")
    if not sign or not name or not column:
        raise LabError(f"--column {text}: does not have the form NAME=COLUMN. Pass for example --column score=correct")
    return name, column


def _names(row: dict[str, Any], columns: dict[str, str]) -> Iterable[str]:
    return (set(row) - set(columns.values())) | set(columns)


def _add(prompts: dict[str, dict[str, Any]], file: Path, number: int, row: dict[str, Any]) -> str | None:
    """Adds a row to the table and returns None, or returns why the row is left out. Raises LabError."""
    if isinstance(row.get("scores"), dict):
        identity = str(row.get("id") or f"{file.stem}-{number}")
        _merge(prompts, file, number, {**row, "id": identity})
        return None
    missing = [name for name in _ANSWER if row.get(name) in (None, "")]
    if missing:
        return f"without `{missing[0]}`"
    numbers = {name: _number(row.get(name)) for name in _NUMBERS}
    if numbers["score"] is None or not 0 <= numbers["score"] <= 1:
        return "with a `score` that is not a number from 0 to 1"
    tidy = {name: row[name] for name in ("id", "prompt", "task", "family") if row.get(name) not in (None, "")}
    maps = (("scores", "score"), ("output_tokens", "output_tokens"), ("cost", "cost"))
    tidy |= {field: {str(row["model"]): numbers[name]} for field, name in maps if numbers[name] is not None}
    _merge(prompts, file, number, {**tidy, "id": str(row["id"])})
    return None


def _merge(prompts: dict[str, dict[str, Any]], file: Path, number: int, row: dict[str, Any]) -> None:
    known = prompts.setdefault(row["id"], row)
    if known is row:
        return
    if known.get("prompt") != row.get("prompt") or known.get("messages") != row.get("messages"):
        raise LabError(f"{file}, row {number}: the id `{row['id']}` has two prompts. Give each prompt its own id")
    for field in ("scores", "output_tokens", "cost"):
        if row.get(field):
            known[field] = {**known.get(field, {}), **row[field]}


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return float(value)
    try:
        return float(value)  # type: ignore[arg-type]  # float() raises an error for other types
    except (TypeError, ValueError):
        return None
