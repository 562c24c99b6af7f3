"""Measures how well a policy that was trained on few prompts chooses between a strong and a weak model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..measures import performance_gap_recovered
from ..predictions import predictions
from ..table import Table
from ..training.fit import fit
from .kept_out import Settings

_RESAMPLES = 1_000


@dataclass(frozen=True)
class Pair:
    """Two models of a table, and the number of the table's prompts on which a policy is trained."""

    table: str
    strong: str
    weak: str
    labels: int


PAIRS = (
    Pair("mmlu-pro", "gemini-1.5-pro-002", "Mixtral-8x7B-Instruct-v0.1", 1_500),
    Pair("llmrouter", "llama-3.1-nemotron-51b-instruct", "mistral-7b-instruct-v0.3", 600),
)


def pair_figures(pair: Pair, table: Table, seed: int, settings: Settings) -> dict[str, Any]:
    """Trains a policy. Returns its APGR on the other prompts, with a 95 % interval, and the number of these prompts."""
    models = sorted([pair.strong, pair.weak])
    order = np.random.default_rng(seed).permutation(len(table.prompts))
    keys = {table.prompts[at].key for at in order[: pair.labels]}
    rest = np.array([at for at in order[pair.labels :] if table.prompts[at].key not in keys])
    training, test = table.rows(order[: pair.labels]).columns(models), table.rows(rest).columns(models)
    fitted = fit(training, settings.models, settings.embedding, seed, lambda *_: None)
    preferences = predictions(fitted.predictor, test, settings.models).preferences
    strong, weak = models.index(pair.strong), models.index(pair.weak)
    columns = (preferences[:, strong] - preferences[:, weak], test.scores[:, strong], test.scores[:, weak])
    random = np.random.default_rng(0)
    draws = [random.integers(0, len(rest), len(rest)) for _ in range(_RESAMPLES)]
    resampled = [performance_gap_recovered(*[column[draw] for column in columns]) for draw in draws]
    ends = [performance_gap_recovered(*columns), *np.percentile(resampled, [2.5, 97.5])]
    return {"apgr": [round(float(number), 4) for number in ends], "test_prompts": len(rest)}
