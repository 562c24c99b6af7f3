"""The options that several commands of the lab have."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rl_router_policy import embedding
from rl_router_policy.artefact import Artefact, load_artefact

from ..errors import LabError
from ..models import Models, read_models, require
from ..refits import Refits
from ..table import Table, read_tables

_MAX_FOLDS = 20


def add_table(parser: argparse.ArgumentParser) -> None:
    """Adds the options for the tables and for the models in the tables."""
    parser.add_argument(
        "--table", type=Path, action="append", required=True, metavar="FILE",
        help="table with one prompt per row (.jsonl, .jsonl.gz or .parquet). Repeat the option for several tables",
    )  # fmt: skip
    parser.add_argument(
        "--models",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON file with the models' prices, sizes and benchmark scores",
    )
    parser.add_argument(
        "--only", action="append", metavar="MODEL", help="use only this model. Repeat the option for several models"
    )
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="leave out rows whose FIELD is the text VALUE, or a list with VALUE. Repeat the option for several pairs",
    )


def add_artefact(parser: argparse.ArgumentParser) -> None:
    """Adds the option for an artefact."""
    parser.add_argument("--artefact", type=Path, required=True, metavar="FOLDER", help="folder of the artefact")


def add_refits(parser: argparse.ArgumentParser) -> None:
    """Adds the options for an artefact that is tested on its own training table."""
    parser.add_argument(
        "--folds", type=int, default=0, metavar="N",
        help="test the artefact on its own training table: train it again on all but one of N parts of the table, and"
        " let it choose for the part that is left (default: test the artefact on other prompts)",
    )  # fmt: skip
    parser.add_argument(
        "--base", type=Path, metavar="FOLDER", help="with --folds, the artefact from which the artefact was adapted"
    )


def refits(options: argparse.Namespace, artefact: Artefact) -> Refits | None:
    """Returns how the artefact is trained again, or None if it is tested on other prompts. Raises LabError."""
    if options.folds == 0 and options.base is None:
        return None
    if not 2 <= options.folds <= _MAX_FOLDS:
        raise LabError(f"--folds {options.folds}: is not from 2 to {_MAX_FOLDS}. Use --folds 5")
    base = load_artefact(options.base, artefact.predictor.embedding) if options.base else None
    found = Refits(artefact, base, options.folds, show_progress)
    found.check()
    return found


def read_table(options: argparse.Namespace) -> tuple[Table, Models]:
    """Returns the tables as one table, and the models. Raises LabError."""
    models = read_models(options.models)
    table = read_tables(options.table, [pair("--leave-out", text) for text in options.leave_out])
    if options.only:
        table = table.columns(sorted(options.only))
    require(models, table.models, options.models)
    return table, models


def pair(option: str, text: str) -> tuple[str, str]:
    """Returns the two parts of an option's value in the form NAME=VALUE. Raises LabError."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise LabError(
            f"{option} {text}: does not have the form NAME=VALUE. Write the name and the value with = between them"
        )
    return name, value


def read_artefact(options: argparse.Namespace) -> Artefact:
    """Returns the artefact. Raises ArtefactError."""
    return load_artefact(options.artefact, embedding.load(embedding.BUNDLED))


def show_progress(stage: str, share: float) -> None:
    """Shows which share of a stage is done, on standard error. Shows nothing if standard error is not a terminal."""
    if sys.stderr.isatty():
        print(f"\r{stage}: {share:4.0%} ", end="", file=sys.stderr, flush=True)
