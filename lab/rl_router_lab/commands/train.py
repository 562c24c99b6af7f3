"""`rl-router lab train`: trains an artefact on tables of outcomes."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rl_router_policy import embedding

from ..errors import LabError
from . import options as shared

_MIN_PROMPTS = 100


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("train", help="train an artefact on tables", description=__doc__)
    shared.add_table(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder for the artefact")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all random numbers (default: 0)")
    parser.add_argument(
        "--licence",
        action="append",
        default=[],
        metavar="FILE=LICENCE",
        help="licence of a table, for the artefact's manifest. Repeat the option for several tables",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains an artefact and writes the artefact into a new folder. Raises LabError."""
    try:
        from ..training.artefact import Provenance, write_artefact
        from ..training.fit import fit
    except ModuleNotFoundError as error:
        raise LabError(f"training needs the module {error.name}. Run pip install 'rl-router[lab]'") from None
    if options.out.exists():
        raise LabError(f"{options.out}: exists already. Pass the name of a new folder with --out")
    table, models = shared.read_table(options)
    if len(table.prompts) < _MIN_PROMPTS:
        raise LabError(
            f"the tables have {len(table.prompts)} prompts. Training needs at least {_MIN_PROMPTS}. Add prompts"
        )
    licences = dict([shared.pair("--licence", text) for text in options.licence])
    provenance = Provenance(options.seed, options.table, options.leave_out, licences)
    begun = time.monotonic()
    fitted = fit(table, models, embedding.load(embedding.BUNDLED), options.seed, shared.show_progress)
    write_artefact(options.out, fitted, table, models, provenance)
    size = f"{len(table.prompts):,} prompts and {len(table.models)} models"
    print(f"{options.out}: trained on {size} in {time.monotonic() - begun:.0f} s")
