"""Adapts a trained predictor to a table that is too small to train a new predictor.

The adaptation does not change the item network, which describes a prompt by the abilities that the prompt needs.
The outcomes of each target update the vector that the predictor has for the target. The table is split into five parts
by the text of the prompts. The prompts of each part get predictions from vectors that only the other parts have
updated. These predictions decide how much the memory counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rl_router_policy.network import probabilities
from rl_router_policy.predictor import Head, Predictor
from rl_router_policy.targets import Targets

from ..models import Models
from ..table import Table
from .fit import MEMBERS, Data, Fitted, Recall, best_option, memory_of, prepared, utility_interval

_RECALL = Recall(30, (0.0, 0.4, 0.7))
"""The largest share is larger than in `fit`, because the network was not trained on the table."""


def adapt(base: Predictor, table: Table, models: Models, seed: int) -> Fitted:
    """Returns an adapted predictor for the table's models, with the figures of the adaptation.

    The same arguments give the same predictor.
    """
    data = prepared(table, models, base.embedding, seed, base.scaler)
    network = base.outcomes.network
    items = np.stack([network.items(row) for row in data.examples.inputs])
    prior = base.outcomes.targets
    held_out = {"outcomes": _held_out(data, items, table, models, prior)}
    stages, best, weight, blended = best_option(data, held_out, _RECALL)
    vectors = _adapted(prior, items, table, models)
    targets = replace(prior, names=table.models, vectors=vectors)
    predictor = replace(
        base,
        outcomes=Head(network, targets),
        gradient=None,
        lengths=data.lengths,
        memory=memory_of(data, weight, _RECALL),
    )
    qualities = _chances(items, vectors).mean(axis=0).astype(np.float32)
    means, interval = items.mean(axis=0).astype(np.float32), utility_interval(blended, data)
    return Fitted(predictor, None, qualities, means, blended, held_out[best], stages, interval)


def _adapted(prior: Targets, items: np.ndarray, table: Table, models: Models) -> np.ndarray:
    """Returns the vectors of the table's models: (targets, members, 1 + abilities)."""
    vectors = []
    for name, scores in zip(table.models, table.scores.T, strict=True):
        known = ~np.isnan(scores)
        vectors.append(prior.adapted(name, models[name].profile, items[known], scores[known]))
    return np.stack(vectors)


def _held_out(data: Data, items: np.ndarray, table: Table, models: Models, prior: Targets) -> np.ndarray:
    chances = np.empty(table.scores.shape, np.float32)
    for part in range(MEMBERS):
        inside = data.parts == part
        vectors = _adapted(prior, items[~inside], table.rows(~inside), models)
        chances[inside] = _chances(items[inside], vectors)
    return chances


def _chances(items: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.stack([probabilities(item, vectors) for item in items])
