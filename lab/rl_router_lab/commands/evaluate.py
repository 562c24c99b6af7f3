"""`rl-router lab evaluate`: measures an artefact on prompts that the artefact was not trained on.

If there are no such prompts, use --folds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rl_router_policy.artefact import Artefact

from ..costs import real_costs
from ..errors import LabError
from ..evaluation import Outcomes, baselines, calibration_figures, curve_figures, difference, mean_auroc
from ..models import Models
from ..predictions import predictions
from ..refits import Refits
from ..table import Table
from . import options as shared

_MIN_PROMPTS = 30


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("evaluate", help="measure an artefact on a table", description=__doc__)
    shared.add_artefact(parser)
    shared.add_table(parser)
    shared.add_refits(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the printed JSON into this file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the measures of an artefact and of the baselines, and writes them into the file of `--json` if set.

    Raises LabError, ArtefactError or OSError.
    """
    artefact = shared.read_artefact(options)
    table, models = shared.read_table(options)
    report = measures_of(artefact, unseen(artefact, table, models, shared.refits(options, artefact)))
    text = json.dumps(report, indent=1)
    if options.json:
        options.json.write_text(text + "\n")
    print(text)


@dataclass(frozen=True)
class Unseen:
    """The prompts on which an artefact is measured, and the outcomes of all models with the artefact's predictions.

    The attribute `left_out` is the number of the table's prompts that do not count because of the training. The
    attribute `folds` is the number of parts of the table if each part was predicted by a policy that was trained on
    the other parts, and otherwise 0.
    """

    table: Table
    outcomes: Outcomes
    left_out: int
    folds: int


def measures_of(artefact: Artefact, test: Unseen) -> dict[str, Any]:
    """Returns all measures of an artefact."""
    outcomes = test.outcomes
    figures = {**curve_figures(outcomes), **calibration_figures(outcomes)}
    return {
        "artefact": artefact.hash,
        "prompts": len(test.table.prompts),
        "trained_prompts_left_out": test.left_out,
        "folds": test.folds,
        "models": list(test.table.models),
        **{name: figure.as_json() for name, figure in figures.items()},
        "auroc": mean_auroc(outcomes, test.table),
        "constants": _constants(test.table, outcomes),
        "baselines": _baselines(test.table, outcomes),
        "tasks": _tasks(test.table, outcomes),
    }


def unseen(artefact: Artefact, table: Table, models: Models, refits: Refits | None = None) -> Unseen:
    """Returns the prompts that every model answered and the artefact was not trained on, and their outcomes.

    With `refits`, only the artefact's own training prompts count, and policies that were trained on other parts of the
    table predict them. Raises LabError if fewer than 30 prompts count.
    """
    trained = set(artefact.manifest["trained_on"])
    keys = [prompt.short_key for prompt in table.prompts]
    counts = np.array([refits.knows(key) if refits else key not in trained for key in keys])
    test = table.rows(counts).complete()
    if len(test.prompts) < _MIN_PROMPTS:
        raise LabError(_too_few(len(test.prompts), refits))
    expected = refits.predictions(test, models)[0] if refits else predictions(artefact.predictor, test, models)
    left_out = sum(key in trained for key, is_kept in zip(keys, counts, strict=True) if not is_kept)
    return Unseen(
        test, Outcomes(test.scores, real_costs(test, models), expected), left_out, refits.folds if refits else 0
    )


def _too_few(prompts: int, refits: Refits | None) -> str:
    which = "belong to the artefact's own training table" if refits else "were not used to train the artefact"
    remedy = "the training table" if refits else f"a table with at least {_MIN_PROMPTS} such prompts"
    own = "" if refits else ", or test the artefact on its own training table with --folds 5"
    return (
        f"only {prompts} prompts of the table were answered by every model and {which}. Pass {remedy}, or fewer models"
        f" with --only{own}"
    )


def _constants(table: Table, outcomes: Outcomes) -> dict[str, dict[str, float]]:
    means = zip(table.models, outcomes.scores.mean(axis=0), outcomes.costs.mean(axis=0), strict=True)
    return {name: {"score": round(float(score), 4), "cost": float(f"{cost:.4g}")} for name, score, cost in means}


def _baselines(table: Table, outcomes: Outcomes) -> dict[str, Any]:
    found = {}
    for name, expected in baselines(outcomes, table).items():
        other = Outcomes(outcomes.scores, outcomes.costs, expected)
        comparison = other.routed().compare()
        found[name] = {
            "aiq_gain": round(comparison.gain, 4),
            "policy_is_better_by": difference(outcomes, other).as_json(),
        }
    return found


def _tasks(table: Table, outcomes: Outcomes) -> dict[str, Any]:
    tasks = np.array([prompt.task for prompt in table.prompts])
    found = {}
    for task in np.unique(tasks):
        rows = np.where(tasks == task)[0]
        part = Outcomes(outcomes.scores[rows], outcomes.costs[rows], outcomes.predictions.rows(rows))
        if len(rows) >= _MIN_PROMPTS:
            found[str(task)] = {"prompts": len(rows), "aiq_gain": round(part.routed().compare().gain, 4)}
    return found
