"""Makes the evidence of the guard from a table: the outcomes of prompts on which an artefact was not trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.artefact import Artefact
from rl_router_policy.evidence import Evidence, Identity
from rl_router_policy.evidence_json import MAX_PROMPTS, MAX_TARGETS
from rl_router_policy.guard import MIN_PROMPTS

from .costs import real_costs
from .errors import LabError
from .models import Models
from .predictions import predictions_and_lengths
from .table import Table

_MAX_INCOMPLETE = 0.1
"""The maximum share of the prompts that lack an outcome of a model. A model may lack outcomes just for the prompts at
which it fails, so a comparison on the other prompts would be unfair."""


def evidence_of(artefact: Artefact, table: Table, models: Models) -> Evidence:
    """Returns the evidence that a table contains for an artefact.

    Prompts with a text on which the artefact was trained do not count, and prompts with the same text count once.
    Raises LabError if the artefact does not know a model of the table, or if too few prompts are left.
    """
    _check_models(artefact, table)
    unseen = table.rows(_unseen(artefact, table))
    test = _complete(unseen, len(table.prompts))
    expected, lengths = predictions_and_lengths(artefact.predictor, test, models)
    return Evidence(
        targets=tuple([Identity(name, models[name].served or name) for name in test.models]),
        prices=tuple([models[name].price for name in test.models]),
        prompts=tuple([prompt.short_key for prompt in test.prompts]),
        input_tokens=np.array([prompt.input_tokens for prompt in test.prompts]),
        scores=test.scores,
        output_tokens=test.output_tokens,
        costs=real_costs(test, models),
        preferences=expected.preferences,
        expected_tokens=lengths,
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


def _unseen(artefact: Artefact, table: Table) -> NDArray[np.bool_]:
    """Returns which prompts have a text that the artefact was not trained on, and that no earlier prompt has."""
    known = set(artefact.manifest["trained_on"])
    kept = np.zeros(len(table.prompts), bool)
    for at, prompt in enumerate(table.prompts):
        kept[at] = prompt.short_key not in known
        known.add(prompt.short_key)
    return kept


def _complete(unseen: Table, prompts: int) -> Table:
    """Returns the prompts that all models answered. Raises LabError."""
    test = unseen.complete()
    if len(unseen.prompts) < MIN_PROMPTS:
        raise LabError(
            f"{prompts - len(unseen.prompts)} of the {prompts} prompts have a text that the artefact was trained on, or"
            f" the text of another prompt. Pass a table with at least {MIN_PROMPTS} other prompts"
        )
    missing = 1 - len(test.prompts) / len(unseen.prompts)
    if missing > _MAX_INCOMPLETE or len(test.prompts) < MIN_PROMPTS:
        lacking = np.isnan(unseen.scores).sum(axis=0)
        raise LabError(
            f"{missing:.0%} of the prompts lack an outcome of a model. `{unseen.models[int(lacking.argmax())]}` lacks"
            f" most, {lacking.max()} of {len(unseen.prompts)}. Complete the table, or leave the model out with --only"
        )
    if len(test.prompts) > MAX_PROMPTS:
        in_order = sorted(range(len(test.prompts)), key=lambda at: test.prompts[at].short_key)
        test = test.rows(np.array(sorted(in_order[:MAX_PROMPTS])))
    return test
