"""`rl-router lab predict`: writes an artefact's predictions for each model and each prompt of a table.

The output has one JSON object per prompt: `{"id", "quality": {MODEL: 0 to 1}, "preference": {MODEL: NUMBER}, "cost":
{MODEL: USD}, "choice": {UNITS: MODEL}}`. The field `choice` contains the chosen model for each worth of a good answer
(1, 2, 5, 10, 20, 50 and 100 units). A unit is the mean cost over all prompts and models of the table, or 1 US dollar if
all answers are free.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rl_router_policy.value import STEPS

from ..costs import real_costs
from ..predictions import Predictions, predictions
from ..records import write_records
from ..table import Table
from . import options as shared


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "predict", help="write an artefact's predictions for a table", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    shared.add_artefact(parser)
    shared.add_table(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file for the predictions (JSONL)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the predictions. Raises LabError, ArtefactError or OSError."""
    artefact = shared.read_artefact(options)
    table, models = shared.read_table(options)
    expected = predictions(artefact.predictor, table, models)
    unit = float(np.nanmean(real_costs(table, models)))
    write_records(options.out, _rows(table, expected, unit))
    print(f"{options.out}: predictions for {len(table.prompts):,} prompts")


def _rows(table: Table, expected: Predictions, unit: float) -> list[dict[str, object]]:
    # If all answers are free, the unit is 1 US dollar, because a unit of 0 would give no choices.
    costs = expected.costs / (unit or 1.0)
    chosen = {str(step): (expected.preferences - costs / step).argmax(axis=1) for step in STEPS}
    return [
        {
            "id": prompt.id,
            "quality": _by_model(table, expected.qualities[at]),
            "preference": _by_model(table, expected.preferences[at]),
            "cost": _by_model(table, expected.costs[at]),
            "choice": {step: table.models[models[at]] for step, models in chosen.items()},
        }
        for at, prompt in enumerate(table.prompts)
    ]


def _by_model(table: Table, numbers: np.ndarray) -> dict[str, float]:
    return {model: float(f"{number:.6g}") for model, number in zip(table.models, numbers, strict=True)}
