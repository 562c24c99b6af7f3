"""Measures how well a policy predicts which answers are good, for a model that was left out of the training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rl_router_policy import inputs
from rl_router_policy.inputs import Raw
from rl_router_policy.network import probabilities
from rl_router_policy.predictor import Predictor

from ..evaluation import auroc
from ..table import Table
from ..training.fit import fit_outcomes, raw_inputs
from .kept_out import Settings

MODELS = 12
_MIN_SCORES = 500
_TEST = 0.2
OUTCOMES = (0, 30, 300)
"""The numbers of outcomes of a left-out model that the policy gets before its answers are predicted."""


@dataclass(frozen=True)
class _Prompts:
    """A table with the raw inputs of its prompts. The attribute `test` says which prompts no training uses."""

    table: Table
    raw: Raw
    test: np.ndarray

    def scores(self, name: str) -> np.ndarray:
        scores: np.ndarray = self.table.scores[:, self.table.models.index(name)]
        return scores

    def items(self, predictor: Predictor, rows: np.ndarray) -> np.ndarray:
        """Returns the network's vectors of the prompts at `rows`: (prompts, members, 1 + abilities)."""
        chosen = Raw(self.raw.embedding[rows], self.raw.features[rows])
        standardised = inputs.network_inputs(*predictor.scaler.standardised(chosen))
        return np.stack([predictor.outcomes.network.items(row) for row in standardised])


def unseen(table: Table, seed: int, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yields the AUROC of left-out models after each number of outcomes, and their AUROC if they are not left out.

    After each model, yields the result of all models so far.
    """
    test = np.random.default_rng(seed).random(len(table.prompts)) < _TEST
    prompts = _Prompts(table, raw_inputs(table, settings.embedding), test)
    trained = fit_outcomes(table.rows(~test), settings.models, settings.embedding, seed)
    rows: dict[str, dict[str, float]] = {}
    for name in left_out(table):
        rows[name] = {"trained": _trained(prompts, name, trained), **_unknown(prompts, name, seed, settings)}
        settings.say(f"left out {name}: {rows[name]}")
        columns = next(iter(rows.values()))
        means = {column: round(float(np.mean([row[column] for row in rows.values()])), 4) for column in columns}
        yield {"mean_auc": means, "below_trained": _below(rows), "by_model": rows}


def left_out(table: Table) -> list[str]:
    """Returns at most 12 models: of those with at least 500 scores, the ones whose names have the smallest SHA-256."""
    counts = (~np.isnan(table.scores)).sum(axis=0)
    names = [name for name, count in zip(table.models, counts, strict=True) if count >= _MIN_SCORES]
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:MODELS]


def _below(rows: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    """Returns the models' mean AUROC gap after each number of outcomes, with a 95 % interval from 1,000 resamples."""
    random = np.random.default_rng(0)
    found = {}
    for count in OUTCOMES:
        gaps = np.array([row["trained"] - row[f"after {count}"] for row in rows.values()])
        resampled = gaps[random.integers(0, len(gaps), (1_000, len(gaps)))].mean(axis=1)
        ends = [gaps.mean(), *np.percentile(resampled, [2.5, 97.5])]
        found[f"after {count}"] = [round(float(number), 4) for number in ends]
    return found


def _trained(prompts: _Prompts, name: str, predictor: Predictor) -> float:
    rows = np.where(prompts.test & ~np.isnan(prompts.scores(name)))[0]
    vector = predictor.outcomes.targets.vectors[predictor.outcomes.targets.position(name)]
    return _auc(prompts.items(predictor, rows), vector, prompts.scores(name)[rows])


def _unknown(prompts: _Prompts, name: str, seed: int, settings: Settings) -> dict[str, float]:
    table, scores = prompts.table, prompts.scores(name)
    others = table.columns([model for model in table.models if model != name])
    answered = others.rows(~prompts.test & ~np.isnan(others.scores).all(axis=1))
    predictor = fit_outcomes(answered, settings.models, settings.embedding, seed)
    rows = np.where(prompts.test & ~np.isnan(scores))[0]
    items, profile = prompts.items(predictor, rows), settings.models[name].profile
    order = np.random.default_rng(seed).permutation(np.where(~prompts.test & ~np.isnan(scores))[0])
    found = {}
    for count in OUTCOMES:
        drawn = order[:count]
        known = prompts.items(predictor, drawn) if count else items[:0]
        vector = predictor.outcomes.targets.adapted(name, profile, known, scores[drawn])
        found[f"after {count}"] = _auc(items, vector, scores[rows])
    return found


def _auc(items: np.ndarray, vector: np.ndarray, scores: np.ndarray) -> float:
    chances = np.array([probabilities(item, vector[None])[0] for item in items])
    return round(auroc(chances, scores) or 0.5, 4)
