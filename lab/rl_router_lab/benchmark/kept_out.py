"""Measures policies on prompts that were kept out of the training, by five-fold cross-validation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rl_router_policy.embedding import Embedding
from rl_router_policy.predictor import Predictor

from ..costs import real_costs
from ..evaluation import Outcomes, baselines, calibration_figures, curve_figures
from ..models import Models
from ..predictions import Predictions, predictions
from ..table import Table, joined
from ..training.fit import Fitted, fit

FOLDS = 5


@dataclass(frozen=True)
class Settings:
    """The settings that all measures of the benchmark share.

    The attribute `folds` is the number of folds that are tested. With fewer than five, the policies are still trained
    on four fifths of the prompts, but only the prompts of the tested folds count.
    """

    models: Models
    embedding: Embedding
    say: Callable[[str], None]
    folds: int = FOLDS


def cross_validated(tables: Sequence[Table], seed: int, settings: Settings) -> list[dict[str, Any]]:
    """Trains a policy on the other folds of all tables for each tested fold, and returns the figures for each table.

    Each prompt of a tested fold is predicted by the policy that was trained on the other four folds. The figures are
    the AIQ gain and the match of the stage that the training chose and of each stage, and the calibration.
    """
    folds = [np.array([fold_of(prompt.key, seed) for prompt in table.prompts]) for table in tables]
    expected: list[dict[str, list[Predictions]]] = [{} for _ in tables]
    for fold in range(settings.folds):
        training = joined([table.rows(of != fold) for table, of in zip(tables, folds, strict=True)])
        fitted = fit(training, settings.models, settings.embedding, seed, lambda *_: None)
        settings.say(f"seed {seed}, fold {fold + 1} of {settings.folds}: {fitted.stages}")
        for table, of, found in zip(tables, folds, expected, strict=True):
            for name, predicted in _variants(fitted, table.rows(of == fold), settings).items():
                found.setdefault(name, []).append(predicted)
    return [
        _figures({name: _joined(parts) for name, parts in found.items()}, _tested(table, of, settings.folds), settings)
        for table, of, found in zip(tables, folds, expected, strict=True)
    ]


def trivial(table: Table, settings: Settings) -> dict[str, Any]:
    """Returns the number of prompts, the figures of the baselines, and the mean score and cost of each constant."""
    costs = real_costs(table, settings.models)
    nothing = Predictions(table.scores, table.scores, costs)
    found = baselines(Outcomes(table.scores, costs, nothing), table)
    figures = {name: curve_figures(Outcomes(table.scores, costs, other)) for name, other in found.items()}
    return {
        "prompts": len(table.prompts),
        "constants": {
            name: {"quality": round(float(quality), 4), "cost": float(f"{cost:.4g}")}
            for name, quality, cost in zip(table.models, table.scores.mean(axis=0), costs.mean(axis=0), strict=True)
        },
        "baselines": {
            name: {measure: figure.as_json() for measure, figure in each.items()} for name, each in figures.items()
        },
    }


def _variants(fitted: Fitted, test: Table, settings: Settings) -> dict[str, Predictions]:
    """Returns the predictions of each stage with the chosen share of the memory, and those of the chosen stage."""
    stages: dict[str, Predictor] = {
        "outcomes": replace(fitted.predictor, gradient=None),
        "gradient": replace(fitted.predictor, gradient=fitted.gradient),
    }
    found = {name: predictions(predictor, test, settings.models) for name, predictor in stages.items()}
    return {"chosen": found["gradient" if fitted.predictor.gradient else "outcomes"], **found}


def _figures(found: Mapping[str, Predictions], table: Table, settings: Settings) -> dict[str, Any]:
    """Returns the figures of each stage, and the calibration. All stages predict the same qualities."""
    costs = real_costs(table, settings.models)
    outcomes = {name: Outcomes(table.scores, costs, expected) for name, expected in found.items()}
    figures = {name: curve_figures(each) for name, each in outcomes.items()}
    figures["calibration"] = calibration_figures(outcomes["chosen"])
    return {name: {measure: figure.as_json() for measure, figure in each.items()} for name, each in figures.items()}


def _joined(parts: Sequence[Predictions]) -> Predictions:
    names = ("qualities", "preferences", "costs")
    return Predictions(*[np.concatenate([getattr(part, name) for part in parts]) for name in names])


def _tested(table: Table, folds: np.ndarray, count: int) -> Table:
    """Returns the table's prompts of the first `count` folds, in the order of the folds."""
    return table.rows(np.concatenate([np.where(folds == fold)[0] for fold in range(count)]))


def fold_of(key: str, seed: int) -> int:
    """Returns the fold of the prompt with a key, from 0 to 4."""
    return int(hashlib.sha256(f"fold/{seed}/{key}".encode()).hexdigest(), 16) % FOLDS
