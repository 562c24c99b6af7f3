"""Measures policies of several turns, and simpler ways to call, on prompts that were kept out of the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rl_router_policy.turns import Turns

from .. import measures
from ..costs import costs_of, real_costs
from ..evaluation import RESAMPLES
from ..predictions import predictions_and_lengths
from ..table import Array, Table
from ..training.cascades import Agreeing, Outcome, Thresholds, outcome_of, tuned_agreement, tuned_thresholds
from ..training.fit import Fitted, fit
from ..training.turns import MAX_CALLS, VALUES, Forecast, Tree, myopic, played, train_turns, tree_of
from ..training.verifier import FittedVerifier, expected_tokens, fit_verifier, read_answers
from ..verification import figure
from .kept_out import Settings, fold_of
from .verifier import cheap_models

DIFFERENCES = {
    "three_minus_one": ("three", "one"),
    "three_minus_one_by_value": ("three", "one_by_value"),
    "two_minus_one": ("two", "one"),
    "three_minus_thresholds": ("three", "thresholds"),
    "three_minus_agreement": ("three", "agreement"),
    "thresholds_minus_one": ("thresholds", "one"),
}


def several_turns(table: Table, seeds: Sequence[int], settings: Settings) -> Iterator[dict[str, Any]]:
    """Yields the figures of each way to call. Yields the result so far after each seed.

    Only models with answers count, and prompts that all of them answered. The prompts are split into five folds. What
    is measured on a fold was trained and tuned on the others.
    """
    known = table.answered()
    table = table.columns([table.models[at] for at in np.where(known.any(axis=0))[0]])
    table = table.rows(np.where(table.answered().all(axis=1))[0])
    head = {"folds": settings.folds, "prompts": len(table.prompts), "models": list(table.models)}
    result: dict[str, Any] = {**head, "values": list(VALUES), "seeds": {}}
    for seed in seeds:
        result["seeds"][str(seed)] = _figures(list(_folds(table, seed, settings)))
        yield result


@dataclass(frozen=True)
class _Ways:
    """What was trained and tuned on the same prompts: policies, and rules for each V."""

    turns: Turns
    untrained: Turns
    agreement: list[Agreeing]
    thresholds: list[Thresholds]

    def outcomes(self, tree: Tree) -> dict[str, list[Outcome]]:
        """Returns what each way does on a table at each V."""
        policies = {
            "one_by_value": (self.turns, 1),
            "two": (self.turns, 2),
            "three": (self.turns, MAX_CALLS),
            "untrained": (self.untrained, MAX_CALLS),
        }
        found = {
            name: [outcome_of(tree, played(turns, tree, value, calls)) for value in VALUES]
            for name, (turns, calls) in policies.items()
        }
        found["agreement"] = [rule.outcome(tree) for rule in self.agreement]
        found["thresholds"] = [rule.outcome(tree) for rule in self.thresholds]
        return found


@dataclass(frozen=True)
class _Fold:
    """What each way did on the test prompts of a fold: the answers at each V, and the number of calls at each V."""

    routed: dict[str, measures.Routed]
    calls: dict[str, Array]


def _folds(table: Table, seed: int, settings: Settings) -> Iterator[_Fold]:
    folds = np.array([fold_of(prompt.key, seed) for prompt in table.prompts])
    for fold in range(settings.folds):
        training, test = table.rows(folds != fold), table.rows(folds == fold)
        fitted = fit(training, settings.models, settings.embedding, seed, lambda *_: None)
        verifier, tree = _trained(training, fitted, seed, settings)
        cheap = cheap_models(training, training.answered(), settings.models)
        rules = tuned_agreement(tree, cheap, VALUES), tuned_thresholds(tree, VALUES)
        ways = _Ways(train_turns(tree), myopic(tree), *rules)
        tested = _tested(test, fitted, verifier, settings)
        yield _played(ways, tested)
        settings.say(f"seed {seed}, fold {fold + 1} of {settings.folds}: {len(test.prompts):,} prompts")


def _trained(table: Table, fitted: Fitted, seed: int, settings: Settings) -> tuple[FittedVerifier, Tree]:
    """Returns the verifier, and the tree of the training prompts with cross-fitted predictions and judgements."""
    tokens = expected_tokens(table, fitted.predictor, np.arange(len(table.models)))
    judged = read_answers(table, fitted.qualities, fitted.mean_qualities, tokens)
    verifier = fit_verifier(table, judged, seed)
    expected = costs_of(table, settings.models, tokens)
    return verifier, tree_of(verifier, _forecast(table, fitted.held_out, expected, settings))


def _tested(table: Table, fitted: Fitted, trained: FittedVerifier, settings: Settings) -> Tree:
    """Returns the tree of prompts that neither the predictor nor the verifier was trained on."""
    predicted, tokens = predictions_and_lengths(fitted.predictor, table, settings.models)
    judged = read_answers(table, predicted.qualities, fitted.mean_qualities, tokens)
    logits = trained.verifier.alone.logits(judged.numbers)
    parts = np.zeros(len(table.prompts), np.intp)
    verifier = FittedVerifier(trained.verifier, (trained.verifier,), parts, logits, judged)
    return tree_of(verifier, _forecast(table, predicted.preferences, predicted.costs, settings))


def _forecast(table: Table, preferences: Array, expected: Array, settings: Settings) -> Forecast:
    real = real_costs(table, settings.models)
    unit = float(real.mean())
    return Forecast(preferences, expected / unit, real / unit)


def _played(ways: _Ways, tree: Tree) -> _Fold:
    scores, costs = tree.scores[:, tree.sets.children[0]], tree.costs
    weights = measures.choices(tree.preferences, tree.expected)
    found = {"one": measures.routed(weights, scores, costs)}
    calls = {"one": np.ones(len(VALUES))}
    for name, outcomes in ways.outcomes(tree).items():
        chosen = [np.stack([getattr(each, field) for each in outcomes]) for field in ("scores", "costs")]
        found[name] = measures.Routed(chosen[0], chosen[1], scores, costs)
        calls[name] = np.array([each.calls.mean() for each in outcomes])
    return _Fold(found, calls)


def _figures(folds: Sequence[_Fold]) -> dict[str, Any]:
    """Returns the means over the folds. In each resample, the prompts of each fold are resampled."""
    found = {name: _resampled(folds, name) for name in folds[0].routed}
    pairs = {
        name: {measure: found[one][measure] - found[other][measure] for measure in found[one]}
        for name, (one, other) in DIFFERENCES.items()
    }
    figures: dict[str, Any] = {
        name: {measure: figure(values).as_json() for measure, values in each.items()}
        for name, each in {**found, **pairs}.items()
    }
    for name in found:
        calls: Array = np.mean([fold.calls[name] for fold in folds], axis=0)
        gains = [round(fold.routed[name].compare().gain, 4) for fold in folds]
        figures[name] |= {"aiq_gain_by_fold": gains, "calls_by_value": calls.round(2).tolist()}
    return figures


def _resampled(folds: Sequence[_Fold], name: str) -> Mapping[str, Array]:
    """Returns the AIQ gain and the gain in the highest quality, for the test prompts and for each resample."""
    found: dict[str, list[Array]] = {"aiq_gain": [], "quality_gain": []}
    for at, fold in enumerate(folds):
        routed = fold.routed[name]
        size = len(routed.scores)
        drawn = np.random.default_rng(at).multinomial(size, np.full(size, 1 / size), RESAMPLES)
        compared = routed.compare_each(np.concatenate([np.ones((1, size)), drawn]))
        found["aiq_gain"].append(np.array([each.gain for each in compared]))
        found["quality_gain"].append(np.array([each.quality_gain for each in compared]))
    return {measure: np.mean(values, axis=0) for measure, values in found.items()}
