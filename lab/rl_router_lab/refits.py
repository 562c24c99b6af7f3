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
from .predictions import Predictions, joined, predictions_and_lengths
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

    def predictions(self, table: Table, models: Models) -> tuple[Predictions, Array]:
        """Returns the predictions, and the expected number of output tokens for each prompt and model."""
        parts = parts_of(table, self.folds)
        found = []
        for part in range(self.folds):
            self.progress("refits", part / self.folds)
            predictor = self._fitted(table.rows(parts != part), models)
            found.append(predictions_and_lengths(predictor, table.rows(parts == part), models))
        order = parts.argsort(kind="stable").argsort()
        return joined([each for each, _ in found]).rows(order), np.concatenate([tokens for _, tokens in found])[order]

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


def parts_of(table: Table, folds: int) -> NDArray[np.intp]:
    """Returns the part of each prompt. Equal texts have the same part, and the parts have about the same size."""
    keys = [prompt.key for prompt in table.prompts]
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return np.array([ranks[key] % folds for key in keys], np.intp)
