"""`rl-router lab train`: trains an artefact on tables of outcomes, or adapts an artefact to them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rl_router_policy import embedding
from rl_router_policy.artefact import load_artefact

from ..errors import LabError
from ..models import Models
from ..table import Table
from . import options as shared

_MIN_PROMPTS, _MIN_TO_ADAPT = 100, 30


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("train", help="train an artefact on tables", description=__doc__)
    shared.add_table(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder for the artefact")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the training (default: 0)")
    parser.add_argument(
        "--base",
        type=Path,
        metavar="FOLDER",
        help="adapt this artefact instead of training from scratch. Use it for tables of only a few hundred prompts",
    )
    parser.add_argument(
        "--licence",
        action="append",
        default=[],
        metavar="FILE=LICENCE",
        help="licence of the table FILE (name without folder), for the manifest. Repeat the option for several tables",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains or adapts an artefact, and writes it into a new folder. Raises LabError, ArtefactError or OSError."""
    try:
        from ..training.adapt import adapt
        from ..training.artefact import Provenance, write_artefact
        from ..training.fit import fit
        from ..training.verifier import verifier_of
    except ModuleNotFoundError as error:
        raise LabError(f"training needs the module {error.name}. Install RL Router with the extra `lab`") from None
    if options.out.exists():
        raise LabError(f"{options.out}: exists already. Pass the name of a new folder with --out")
    licences = dict([shared.pair("--licence", text) for text in options.licence])
    words = embedding.load(embedding.BUNDLED)
    base = load_artefact(options.base, words) if options.base else None
    table, models = _table(options)
    begun = time.monotonic()
    if base is None:
        fitted = fit(table, models, words, options.seed, shared.show_progress)
    else:
        fitted = adapt(base.predictor, table, models, options.seed)
    provenance = Provenance(options.seed, options.table, options.leave_out, licences, base)
    kept = verifier_of(table, fitted, base, options.seed)
    write_artefact(options.out, fitted, table, models, provenance, kept)
    size = f"{len(table.prompts):,} prompts and {len(table.models)} models"
    print(f"{options.out}: trained on {size} in {time.monotonic() - begun:.0f} s")
    if table.answers is not None and kept is None:
        print("no verifier was trained, because fewer than 100 prompts have an answer with a score")


def _table(options: argparse.Namespace) -> tuple[Table, Models]:
    """Returns the tables as one table, and the models. Raises LabError, also if there are too few prompts."""
    table, models = shared.read_table(options)
    size = len(table.prompts)
    if options.base and size < _MIN_TO_ADAPT:
        raise LabError(f"the tables have {size} prompts. Adapting needs at least {_MIN_TO_ADAPT}. Add prompts")
    if not options.base and size < _MIN_PROMPTS:
        remedy = f"Add prompts, or adapt an artefact to at least {_MIN_TO_ADAPT} prompts with --base"
        raise LabError(f"the tables have {size} prompts. Training needs at least {_MIN_PROMPTS}. {remedy}")
    return table, models
