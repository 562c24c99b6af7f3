"""Makes the evidence of the guard from a table: the outcomes of prompts on which an artefact was not trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.artefact import Artefact
from rl_router_policy.evidence import Evidence, Identity
from rl_router_policy.evidence_json import MAX_PROMPTS, MAX_TARGETS
from rl_router_policy.guard import MIN_PROMPTS

from .costs import real_costs
from .errors import LabError
from .models import Models
from .predictions import Predictions, predictions_and_lengths
from .refits import Refits
from .table import Array, Table

_MAX_INCOMPLETE = 0.1
"""The maximum share of the prompts that lack an outcome of a model. A model may lack outcomes just for the prompts at
which it fails, so a comparison on the other prompts would be unfair."""


def evidence_of(artefact: Artefact, table: Table, models: Models, refits: Refits | None = None) -> Evidence:
    """Returns the evidence that a table contains for an artefact.

    Without `refits`, only prompts count that have no text on which the artefact was trained. With `refits`, only the
    artefact's own training prompts count, and policies that were trained on other parts of the table predict them.
    Prompts with the same text count once. Raises LabError if the artefact does not know a model of the table, or if too
    few prompts are left.
    """
    _check_models(artefact, table)
    if refits is None:
        known = frozenset(artefact.manifest["trained_on"])
        test = _complete(table, lambda key: key not in known, "have a text that the artefact was trained on")
        expected, lengths = predictions_and_lengths(artefact.predictor, test, models)
        return _evidence(test, models, expected, lengths, 0)
    test = _complete(table, refits.knows, "do not belong to the artefact's own training table")
    return _evidence(test, models, *refits.predictions(test, models), refits.folds)


def _evidence(table: Table, models: Models, expected: Predictions, lengths: Array, folds: int) -> Evidence:
    return Evidence(
        targets=tuple([Identity(name, models[name].served or name) for name in table.models]),
        prices=tuple([models[name].price for name in table.models]),
        prompts=tuple([prompt.short_key for prompt in table.prompts]),
        input_tokens=np.array([prompt.input_tokens for prompt in table.prompts]),
        scores=table.scores,
        output_tokens=table.output_tokens,
        costs=real_costs(table, models),
        preferences=expected.preferences,
        expected_tokens=lengths,
        folds=folds,
    )


def _check_models(artefact: Artefact, table: Table) -> None:
    if not 2 <= len(table.models) <= MAX_TARGETS:
        raise LabError(f"the table has {len(table.models)} models. Promote with a table of 2 to {MAX_TARGETS} models")
    unknown = [name for name in table.models if artefact.targets.position(name) < 0]
    if unknown:
        raise LabError(
            f"the artefact was not trained on the model `{unknown[0]}`. Adapt the artefact with"
            " `rl-router lab train --base`, or leave the model out with --only"
        )


def _complete(table: Table, counts: Callable[[str], bool], reason: str) -> Table:
    """Returns the prompts that count and that all models answered.

    The function `counts` returns whether the prompt with a key counts, and `reason` says why a prompt does not count.
    Raises LabError.
    """
    kept = table.rows(_counting(table, counts))
    test = kept.complete()
    if len(kept.prompts) < MIN_PROMPTS:
        raise LabError(
            f"{len(table.prompts) - len(kept.prompts)} of the {len(table.prompts)} prompts {reason}, or have the text"
            f" of another prompt. Pass a table with at least {MIN_PROMPTS} other prompts"
        )
    missing = 1 - len(test.prompts) / len(kept.prompts)
    if missing > _MAX_INCOMPLETE or len(test.prompts) < MIN_PROMPTS:
        lacking = np.isnan(kept.scores).sum(axis=0)
        raise LabError(
            f"{missing:.0%} of the prompts lack an outcome of a model. `{kept.models[int(lacking.argmax())]}` lacks"
            f" most, {lacking.max()} of {len(kept.prompts)}. Complete the table, or leave the model out with --only"
        )
    return _at_most(test, MAX_PROMPTS)


def _counting(table: Table, counts: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Returns which prompts count and have a text that no earlier prompt has."""
    seen: set[str] = set()
    kept = np.zeros(len(table.prompts), bool)
    for at, prompt in enumerate(table.prompts):
        key = prompt.short_key
        kept[at] = key not in seen and counts(key)
        seen.add(key)
    return kept


def _at_most(table: Table, maximum: int) -> Table:
    """Returns a table with at most `maximum` prompts. The choice depends only on the texts."""
    if len(table.prompts) <= maximum:
        return table
    in_order = sorted(range(len(table.prompts)), key=lambda at: table.prompts[at].key)
    return table.rows(np.array(sorted(in_order[:maximum])))
