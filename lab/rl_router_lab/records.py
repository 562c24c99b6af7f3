"""Reads the rows of a JSONL, CSV or Parquet file, and writes rows as JSONL."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from .errors import LabError


def read_records(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number and the fields of each row. Raises LabError if the file or a row cannot be read."""
    try:
        for number, row in _rows(file):
            if not isinstance(row, dict):
                raise LabError(f"{file}, row {number}: is not a JSON object. Use one object per line")
            yield number, row
    except (OSError, ValueError, EOFError, RecursionError, csv.Error, zlib.error) as error:
        raise LabError(f"{file}: cannot be read: {error}. Pass a readable JSONL, .csv or .parquet file") from None


def _rows(file: Path) -> Iterator[tuple[int, Any]]:
    if file.suffix == ".parquet":
        yield from enumerate(_parquet(file), 1)
        return
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        if ".csv" in file.suffixes:
            yield from enumerate(csv.DictReader(lines), 1)
        else:
            yield from _json_lines(lines)


def _json_lines(lines: TextIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise ValueError(f"row {number} is not JSON ({error})") from None


def _parquet(file: Path) -> list[dict[str, Any]]:
    try:
        import polars
    except ModuleNotFoundError:
        raise LabError(f"{file}: Parquet needs the module polars. Install RL Router with the extra `lab`") from None
    try:
        return polars.read_parquet(file).to_dicts()
    except polars.exceptions.PolarsError as error:
        raise ValueError(error) from None


def write_records(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes one JSON object per line. An old file is replaced only when the new file is complete. Raises OSError."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text("".join([f"{json.dumps(row)}\n" for row in rows]))
    partial.rename(file)
