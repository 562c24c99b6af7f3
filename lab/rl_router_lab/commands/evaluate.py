"""`rl-router lab evaluate`: measures an artefact on prompts that the artefact was not trained on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rl_router_policy.artefact import Artefact

from ..costs import real_costs
from ..errors import LabError
from ..evaluation import Outcomes, baselines, calibration_figures, curve_figures, difference, mean_auroc
from ..models import Models
from ..predictions import predictions
from ..table import Table
from . import options as shared

_MIN_PROMPTS = 30


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("evaluate", help="measure an artefact on a table", description=__doc__)
    shared.add_artefact(parser)
    shared.add_table(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the printed JSON into this file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the measures of an artefact and of the baselines, and writes them into the file of `--json` if set.

    Raises LabError, ArtefactError or OSError.
    """
    artefact = shared.read_artefact(options)
    table, models = shared.read_table(options)
    report = evaluation(artefact, table, models)
    text = json.dumps(report, indent=1)
    if options.json:
        options.json.write_text(text + "\n")
    print(text)


def evaluation(artefact: Artefact, table: Table, models: Models) -> dict[str, Any]:
    """Returns all measures on the prompts of the function `unseen`. Raises LabError."""
    return measures_of(artefact, table, *unseen(artefact, table, models))


def measures_of(artefact: Artefact, table: Table, test: Table, outcomes: Outcomes) -> dict[str, Any]:
    """Returns all measures on the prompts in `test`, which the function `unseen` has selected from `table`."""
    trained = set(artefact.manifest["trained_on"])
    figures = {**curve_figures(outcomes), **calibration_figures(outcomes)}
    return {
        "artefact": artefact.hash,
        "prompts": len(test.prompts),
        "trained_prompts_left_out": sum(prompt.short_key in trained for prompt in table.prompts),
        "models": list(test.models),
        **{name: figure.as_json() for name, figure in figures.items()},
        "auroc": mean_auroc(outcomes, test),
        "constants": _constants(test, outcomes),
        "baselines": _baselines(test, outcomes),
        "tasks": _tasks(test, outcomes),
    }


def unseen(artefact: Artefact, table: Table, models: Models) -> tuple[Table, Outcomes]:
    """Returns the prompts that every model answered and the artefact was not trained on, and their outcomes.

    Raises LabError if fewer than 30 such prompts exist.
    """
    trained = set(artefact.manifest["trained_on"])
    test = table.rows(np.array([prompt.short_key not in trained for prompt in table.prompts])).complete()
    if len(test.prompts) < _MIN_PROMPTS:
        raise LabError(
            f"only {len(test.prompts)} prompts of the table were answered by every model and not used to train the"
            f" artefact. Pass a table with at least {_MIN_PROMPTS} such prompts, or fewer models with --only"
        )
    return test, Outcomes(test.scores, real_costs(test, models), predictions(artefact.predictor, test, models))


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
