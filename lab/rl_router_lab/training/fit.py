"""Fits the networks, the lengths and the memory of a predictor to a table.

The table is split into five parts by the text of the prompts. Each network has five members. Each member is trained on
four parts, and the remaining part decides when the training stops. So each prompt has a prediction of a member that was
not trained on the prompt. These predictions decide which stage the policy uses, and how much the memory counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from rl_router_policy import inputs
from rl_router_policy.embedding import Embedding
from rl_router_policy.inputs import Raw, Scaler
from rl_router_policy.lengths import Lengths
from rl_router_policy.memory import Memory, stored_scores
from rl_router_policy.network import Network
from rl_router_policy.predictor import Head, Predictor
from rl_router_policy.targets import Targets

from ..costs import costs_of, real_costs
from ..models import Models
from ..table import Table
from . import gradient, outcomes
from .gradient import Costs
from .item_network import Weights, logits, vectors
from .lengths import fit_lengths
from .outcomes import Examples

MEMBERS = 5
_RESAMPLES = 1_000
_MEMORY_LIMIT = 10_000
"""The maximum number of prompts in an artefact's memory."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Recall:
    """How a preference uses the memory: the number of neighbours, and the tried shares of their mean score."""

    neighbours: int
    shares: tuple[float, ...]


_RECALL = Recall(40, (0.2, 0.4))


@dataclass(frozen=True)
class Fitted:
    """A trained predictor, with the figures of its training.

    The attribute `gradient` is the head of the second stage, even if the predictor does not use it. It is None if
    the second stage did not run. The attribute `held_out` contains the best option's preference for each prompt and
    target, from weights that were not trained on the prompt's part and from a memory without this part. The
    attribute `qualities` contains such predictions of the quality, without a memory. The attribute `stages` contains
    the mean utility of each option that the training tried, and `interval` the 95 % interval of the best option's mean
    utility.
    """

    predictor: Predictor
    gradient: Head | None
    mean_qualities: np.ndarray
    mean_items: np.ndarray
    held_out: np.ndarray
    qualities: np.ndarray
    stages: dict[str, float]
    interval: tuple[float, float]


@dataclass(frozen=True)
class Data:
    """The table in the form that the stages read. The attribute `parts` contains the number of each prompt's part."""

    examples: Examples
    costs: Costs
    keys: np.ndarray
    parts: np.ndarray
    scaler: Scaler
    lengths: Lengths


def fit(table: Table, models: Models, embedding: Embedding, seed: int, progress: Progress) -> Fitted:
    """Returns a predictor that is trained on the table, with the figures of the training.

    The same arguments give the same predictor.
    """
    data = prepared(table, models, embedding, seed)
    first = _first_stage(data, seed, progress)
    second = [
        gradient.train(
            data.examples, data.costs, first[m], data.parts == m, seed * 100 + m, _part(progress, "gradient", m)
        )
        for m in range(MEMBERS)
    ]
    held_out = {name: _held_out(data, weights) for name, weights in (("outcomes", first), ("gradient", second))}
    stages, best, weight, blended = best_option(data, held_out, _RECALL)
    heads = [_head(table, data, weights) for weights in (first, second)]
    predictor = Predictor(
        embedding,
        data.scaler,
        heads[0],
        heads[1] if best == "gradient" else None,
        data.lengths,
        memory_of(data, weight, _RECALL),
    )
    qualities = np.mean([_chances(weights, data.examples) for weights in first], axis=0).mean(axis=0)
    items = _mean_items(heads[0].network, data.examples.inputs)
    interval = utility_interval(blended, data)
    means = qualities.astype(np.float32)
    return Fitted(predictor, heads[1], means, items, blended, held_out["outcomes"], stages, interval)


@dataclass(frozen=True)
class FirstStage:
    """A predictor that only the first stage trained, and that does not use its memory.

    The attributes `mean_qualities` and `qualities` are those of `Fitted`.
    """

    predictor: Predictor
    mean_qualities: np.ndarray
    qualities: np.ndarray


def fit_first_stage(table: Table, models: Models, embedding: Embedding, seed: int) -> FirstStage:
    """Returns a predictor that only the first stage trained, with its figures."""
    data = prepared(table, models, embedding, seed)
    members = _first_stage(data, seed, lambda *_: None)
    memory = memory_of(data, 0.0, _RECALL)
    predictor = Predictor(embedding, data.scaler, _head(table, data, members), None, data.lengths, memory)
    means = np.mean([_chances(weights, data.examples) for weights in members], axis=0).mean(axis=0)
    return FirstStage(predictor, means.astype(np.float32), _held_out(data, members))


def fit_outcomes(table: Table, models: Models, embedding: Embedding, seed: int) -> Predictor:
    """Returns a predictor that only the first stage trained, and that does not use its memory."""
    return fit_first_stage(table, models, embedding, seed).predictor


def _first_stage(data: Data, seed: int, progress: Progress) -> list[Weights]:
    return [
        outcomes.train(data.examples, data.parts == m, seed * 100 + m, _part(progress, "outcomes", m))
        for m in range(MEMBERS)
    ]


def raw_inputs(table: Table, embedding: Embedding) -> Raw:
    """Returns the raw inputs of the prompts of a table, in rows."""
    rows = [inputs.read(prompt.text, prompt.context, embedding) for prompt in table.prompts]
    return Raw(np.stack([row.embedding for row in rows]), np.stack([row.features for row in rows]))


def prepared(table: Table, models: Models, embedding: Embedding, seed: int, scaler: Scaler | None = None) -> Data:
    """Returns a table in the form that the stages read. If `scaler` is None, a scaler is fitted to the table."""
    raw = raw_inputs(table, embedding)
    scaler = scaler or inputs.fitted(raw)
    vectors_, features = scaler.standardised(raw)
    profiles = np.stack([models[name].profile.vector() for name in table.models])
    tables = _numbers_of_tables(table)
    lengths = fit_lengths(features, table.output_tokens)
    every = np.arange(len(table.models))
    tokens = np.stack([lengths.output_tokens(row, every) for row in features])
    scores = table.scores.astype(np.float32)
    real, expected = real_costs(table, models), costs_of(table, models, tokens)
    # If all answers of a table are free, the unit is 1 US dollar, because the costs are divided by the unit.
    means = [float(np.nanmean(real[tables == number])) or 1.0 for number in range(tables.max() + 1)]
    units = np.array(means)[tables][:, None]
    examples = Examples(inputs.network_inputs(vectors_, features), scores, profiles, tables)
    costs = Costs((real / units).astype(np.float32), (expected / units).astype(np.float32))
    parts = np.array([_part_of(prompt.key, seed) for prompt in table.prompts])
    return Data(examples, costs, inputs.memory_key(vectors_, features), parts, scaler, lengths)


def _numbers_of_tables(table: Table) -> np.ndarray:
    """Returns the number of each prompt's table, which depends on the order of the tables and not on their folders."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys([prompt.table for prompt in table.prompts]))}
    return np.array([numbers[prompt.table] for prompt in table.prompts])


def _part_of(key: str, seed: int) -> int:
    return int(hashlib.sha256(f"{seed}/{key}".encode()).hexdigest(), 16) % MEMBERS


def _part(progress: Progress, stage: str, member: int) -> Callable[[float], None]:
    return lambda share: progress(stage, (member + share) / MEMBERS)


def _chances(weights: Weights, examples: Examples) -> np.ndarray:
    inputs_, _, profiles = examples.arrays()
    chances: np.ndarray = 1 / (1 + np.exp(-np.asarray(logits(weights, inputs_, profiles))))
    return chances


def _held_out(data: Data, members: Sequence[Weights]) -> np.ndarray:
    chances = np.empty(data.examples.scores.shape, np.float32)
    for member, weights in enumerate(members):
        part = data.parts == member
        chances[part] = _chances(weights, data.examples)[part]
    return chances


def best_option(
    data: Data, held_out: Mapping[str, np.ndarray], recall: Recall
) -> tuple[dict[str, float], str, float, np.ndarray]:
    """Returns the mean utility of each option, and the best option: stage, memory share, preferences.

    The argument `held_out` contains each stage's predictions, from weights that were not trained on the prompt. Each
    stage is tried with several shares of the memory.
    """
    values: dict[tuple[str, float], tuple[float, np.ndarray]] = {}
    for stage, chances in held_out.items():
        means = _neighbour_means(data, chances, recall.neighbours)
        for weight in recall.shares:
            blended = chances + weight * (means - chances)
            values[stage, weight] = (utility(blended, data), blended)
    stage, weight = max(values, key=lambda option: values[option][0])
    report = {f"{name}, memory {share:g}": round(value, 5) for (name, share), (value, _) in values.items()}
    return report, stage, weight, values[stage, weight][1]


def utility(preferences: np.ndarray, data: Data) -> float:
    """Returns the mean of `utilities` over the prompts, in which all tables count the same."""
    return float(utilities(preferences, data) @ _table_weights(data))


def utilities(preferences: np.ndarray, data: Data) -> np.ndarray:
    """Returns for each prompt the utility of the choice by preference and cost, as a mean over weights of the cost."""
    examples, costs, at = data.examples, data.costs, np.arange(len(preferences))
    known = ~np.isnan(examples.scores)
    totals = np.zeros(len(preferences))
    prices = (0.0, *gradient.PRICES)
    for price in prices:
        chosen = np.where(known, preferences - price * costs.expected, -np.inf).argmax(axis=1)
        totals += examples.scores[at, chosen] - price * costs.real[at, chosen]
    return totals / len(prices)


def utility_interval(preferences: np.ndarray, data: Data) -> tuple[float, float]:
    """Returns the ends of the mean utility's 95 % interval, from 1,000 resamples of the prompts of each table."""
    values, random = utilities(preferences, data), np.random.default_rng(0)
    tables = [values[data.examples.tables == table] for table in np.unique(data.examples.tables)]
    means = [[random.choice(each, len(each)).mean() for each in tables] for _ in range(_RESAMPLES)]
    low, high = np.percentile(np.mean(means, axis=1), [2.5, 97.5])
    return round(float(low), 5), round(float(high), 5)


def _table_weights(data: Data) -> np.ndarray:
    """Returns the weight of each prompt in a mean in which all tables count the same."""
    _, positions, sizes = np.unique(data.examples.tables, return_inverse=True, return_counts=True)
    weights: np.ndarray = 1 / sizes[positions] / len(sizes)
    return weights


def _neighbour_means(data: Data, chances: np.ndarray, neighbours: int) -> np.ndarray:
    """Returns what a memory of weight 1 predicts for each prompt if the memory does not contain the prompt's part."""
    means = np.empty_like(chances)
    every = np.arange(chances.shape[1])
    for part in range(MEMBERS):
        inside = data.parts == part
        memory = Memory(data.keys[~inside], stored_scores(data.examples.scores[~inside]), neighbours, 1.0)
        means[inside] = [
            memory.blended(key, every, row) for key, row in zip(data.keys[inside], chances[inside], strict=True)
        ]
    return means


def _head(table: Table, data: Data, members: Sequence[Weights]) -> Head:
    arrays = [{name: np.asarray(value) for name, value in weights.items()} for weights in members]
    profiles = jnp.asarray(data.examples.profiles)
    network = Network(*[np.stack([each[name] for each in arrays]) for name in ("hidden", "bias", "item")])
    own = np.stack([each["own"] for each in arrays], axis=1)
    targets = Targets(
        table.models,
        np.stack([np.asarray(vectors(weights, profiles)) for weights in members], axis=1),
        np.stack([each["profile"] for each in arrays]) + _offset(own.mean(axis=0), data.examples.profiles.shape[1]),
        own.std(axis=0),
    )
    return Head(network, targets)


def _offset(mean: np.ndarray, size: int) -> np.ndarray:
    """Returns weights of the profile: the mean of the targets' own vectors in the constant's row, and 0 elsewhere."""
    offset = np.zeros((len(mean), size, mean.shape[1]), np.float32)
    offset[:, 0] = mean
    return offset


def memory_of(data: Data, weight: float, recall: Recall) -> Memory:
    """Returns the memory with the prompts of a table, or with 10,000 random ones if there are more."""
    kept = np.arange(len(data.keys))
    if len(kept) > _MEMORY_LIMIT:
        kept = np.sort(np.random.default_rng(0).choice(kept, _MEMORY_LIMIT, replace=False))
    return Memory(data.keys[kept], stored_scores(data.examples.scores[kept]), recall.neighbours, weight)


def _mean_items(network: Network, rows: np.ndarray) -> np.ndarray:
    means: np.ndarray = np.mean([network.items(row) for row in rows], axis=0).astype(np.float32)
    return means
