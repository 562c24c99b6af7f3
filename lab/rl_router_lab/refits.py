"""Predicts the prompts of a small training table by policies that were trained on other parts of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.artefact import Artefact
from rl_router_policy.predictor import Predictor

from .errors import LabError
from .models import Models
from .predictions import predictions_and_lengths
from .table import Array, Table

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Refits:
    """How an artefact is trained again on parts of its training table.

    The attribute `base` is the artefact that was adapted, or None if the artefact was trained from scratch.
    """

    artefact: Artefact
    base: Artefact | None
    folds: int
    progress: Progress = lambda _stage, _share: None

    def check(self) -> None:
        """Raises LabError if the artefact was not trained with this base."""
        made_from, given = self.artefact.manifest.get("base"), self.base.hash if self.base else None
        if made_from == given:
            return
        if made_from is None:
            raise LabError("--base: the artefact was trained from scratch. Leave the option out")
        raise LabError(f"--base: the artefact was adapted from another artefact. Pass the folder of {made_from}")

    def knows(self, key: str) -> bool:
        """Returns whether a prompt belongs to the artefact's own training table, and not to the base's."""
        own, earlier = self._trained
        return key in own and key not in earlier

    def predictions(self, table: Table, models: Models) -> tuple[Array, Array]:
        """Returns the preference and the expected number of output tokens for each prompt and model."""
        preferences, lengths = np.empty(table.scores.shape), np.empty(table.scores.shape)
        parts = _parts(table, self.folds)
        for part in range(self.folds):
            self.progress("refits", part / self.folds)
            inside = parts == part
            predictor = self._fitted(table.rows(~inside), models)
            expected, tokens = predictions_and_lengths(predictor, table.rows(inside), models)
            preferences[inside], lengths[inside] = expected.preferences, tokens
        return preferences, lengths

    @cached_property
    def _trained(self) -> tuple[frozenset[str], frozenset[str]]:
        earlier = self.base.manifest["trained_on"] if self.base else ()
        return frozenset(self.artefact.manifest["trained_on"]), frozenset(earlier)

    def _fitted(self, table: Table, models: Models) -> Predictor:
        try:
            from .training.adapt import adapt
            from .training.fit import fit
        except ModuleNotFoundError as error:
            raise LabError(f"training needs the module {error.name}. Install RL Router with the extra `lab`") from None
        seed = int(self.artefact.manifest.get("seed", 0))
        if self.base is not None:
            return adapt(self.base.predictor, table, models, seed).predictor
        return fit(table, models, self.artefact.predictor.embedding, seed, lambda *_: None).predictor


def _parts(table: Table, folds: int) -> NDArray[np.intp]:
    """Returns the part of each prompt. The parts have about the same size and depend only on the texts."""
    order = sorted(range(len(table.prompts)), key=lambda at: table.prompts[at].key)
    parts = np.empty(len(order), np.intp)
    parts[order] = np.arange(len(order)) % folds
    return parts
