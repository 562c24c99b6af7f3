"""`rl-router lab report`: writes one HTML page that shows what routing with an artefact would change.

The page compares the policy with each single model on prompts that the artefact was not trained on: quality and cost,
baselines, calibration, tasks and examples, with 95 % intervals. If there are no such prompts, use --folds. The page
needs no network and contains no scripts. The same artefact and tables give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_router_policy.value import UNITS

from ..errors import LabError
from . import options as shared
from .evaluate import measures_of, unseen


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "report", help="show in one HTML page what routing would change", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    shared.add_artefact(parser)
    shared.add_table(parser)
    shared.add_refits(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file for the page (HTML)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the page. Raises LabError or ArtefactError."""
    try:
        from ..report.changes import change
        from ..report.examples import examples
        from ..report.page import page
    except ModuleNotFoundError as error:
        raise LabError(f"a report needs the module {error.name}. Install RL Router with the extra `lab`") from None
    artefact = shared.read_artefact(options)
    table, models = shared.read_table(options)
    test = unseen(artefact, table, models, shared.refits(options, artefact))
    changes = {goal: change(test.outcomes, test.table.models, goal) for goal in UNITS}
    shown = examples(test.table, test.outcomes, changes["balanced"])
    text = page(measures_of(artefact, test), test.table, test.outcomes, list(changes.values()), shown)
    partial = options.out.with_name(f".{options.out.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.rename(options.out)
    print(f"{options.out}: {len(test.table.prompts):,} prompts, {len(test.table.models)} models")
