"""`rl-router lab import`: converts outcomes to the tidy form (one prompt per row) that the other commands read.

Each input file is in the tidy form, or has one answer per row with the columns `id`, `prompt`, `model` and `score`, and
optionally `task`, `family`, `output_tokens`, `cost` and `answer` (the text of the answer). Names of CSV files end in
.csv or .csv.gz, and names of Parquet files in .parquet. Other files are JSONL, compressed with gzip if the name ends in
.gz. The option --column gives other column names. If another table already has the prompts or the output tokens, name
the table with --join.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import LabError
from ..importing import REQUIRED, imported
from ..records import write_records


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
    parser.add_argument(
        "--join", type=Path, metavar="TABLE",
        help="table in the tidy form with the same ids, from which each row gets the prompt, the task, the family and "
        "the output tokens",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the table, and prints how many rows were left out for each reason. Raises LabError or OSError."""
    columns = dict([_column(text) for text in options.column])
    found = imported(options.files, columns, options.join)
    if not found.rows:
        raise LabError(_remedy(options))
    write_records(options.out, found.rows.values())
    models = {model for row in found.rows.values() for model in row["scores"]}
    answers = sum(len(row.get("answers") or ()) for row in found.rows.values())
    size = f"{len(found.rows):,} prompts, {len(models)} models"
    print(f"{options.out}: {size}, {answers:,} answers with their text" if answers else f"{options.out}: {size}")
    for reason, count in found.left_out.items():
        print(f"left out: {count:,} rows {reason}")


def _remedy(options: argparse.Namespace) -> str:
    names = ", ".join(REQUIRED)
    if options.join:
        return f"{options.files[0]}: contains no outcome whose `id` is in {options.join}. Pass another table to --join"
    return f"{options.files[0]}: contains no outcome. Name the columns {names} with --column"


def _column(text: str) -> tuple[str, str]:
    name, sign, column = text.partition("=")
    if not sign or not name or not column:
        raise LabError(f"--column {text}: does not have the form NAME=COLUMN. Pass for example --column score=correct")
    return name, column
