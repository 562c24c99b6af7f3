"""Measures a policy after its adaptation to 200 prompts of a table that the policy was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rl_router_policy.predictor import Predictor

from ..costs import real_costs
from ..evaluation import Outcomes, curve_figures
from ..predictions import predictions
from ..table import Table
from ..training.adapt import adapt
from ..training.fit import fit_outcomes
from .kept_out import Settings

PROMPTS, MODELS = 200, 4


def few(others: Table, table: Table, seeds: Sequence[int], settings: Settings) -> Iterator[dict[str, Any]]:
    """Yields the figures of a policy that is trained on other tables, and adapted to 200 prompts of a table.

    Each seed draws four models and the prompts. The figures are measured on the prompts of the table whose text was not
    drawn. After each seed, yields the figures of all seeds so far.
    """
    base = fit_outcomes(others, settings.models, settings.embedding, seeds[0])
    found: dict[str, Any] = {}
    for seed in seeds:
        found[str(seed)] = _one(base, table, seed, settings)
        settings.say(f"seed {seed}: {found[str(seed)]}")
        gains = [each["aiq_gain"][0] for each in found.values()]
        yield {"mean_aiq_gain": round(float(np.mean(gains)), 4), "seeds": found}


def _one(base: Predictor, table: Table, seed: int, settings: Settings) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    models = sorted(random.choice(table.models, MODELS, replace=False).tolist())
    order = random.permutation(len(table.prompts))
    keys = {table.prompts[at].key for at in order[:PROMPTS]}
    rest = np.array([at for at in order[PROMPTS:] if table.prompts[at].key not in keys])
    small, test = table.rows(order[:PROMPTS]).columns(models), table.rows(rest).columns(models)
    fitted = adapt(base, small, settings.models, seed)
    expected = predictions(fitted.predictor, test, settings.models)
    figures = curve_figures(Outcomes(test.scores, real_costs(test, settings.models), expected))
    best = max(fitted.stages, key=lambda option: fitted.stages[option])
    return {"models": models, "option": best, **{name: figure.as_json() for name, figure in figures.items()}}
