"""The evidence of the guard: what a policy predicted for prompts that it was not trained on, and the real outcomes.

Prices and the value of a good answer are not part of the evidence. So the policy can be compared with the constants
again when prices change, or when fewer targets are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .costs import listed_costs
from .situation import Price
from .value import unit

Array = NDArray[np.float64]

COLUMNS = ("scores", "output_tokens", "costs", "preferences", "expected_tokens")
"""The attributes of `Evidence` with one number for each prompt and target."""


@dataclass(frozen=True)
class Identity:
    """What a target of the evidence must have in common with a configured target.

    The attribute `model` is the name under which the target's endpoint serves the model.
    """

    name: str
    model: str
    effort: str | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """The outcomes of all targets on the same prompts, beside the predictions of one artefact.

    The attribute `prompts` contains the short keys of the prompts' texts. The attribute `prices` contains the prices at
    which `costs` were paid. The attribute `input_tokens` has one number for each prompt. The following attributes have
    the shape (prompts, targets): the real `scores`, `output_tokens` and `costs` in US dollars, and the predicted
    `preferences` and `expected_tokens`. The targets are sorted by name. The attribute `folds` is the number of parts of
    the table if each part was predicted by a policy that was trained on the other parts, and otherwise 0.
    """

    targets: tuple[Identity, ...]
    prices: tuple[Price, ...]
    prompts: tuple[str, ...]
    input_tokens: Array
    scores: Array
    output_tokens: Array
    costs: Array
    preferences: Array
    expected_tokens: Array
    folds: int = 0

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple([target.name for target in self.targets])

    @property
    def unit(self) -> float | None:
        """The unit of the value of a good answer at the prices of the evidence, in US dollars."""
        return unit([(price.input, price.output) for price in self.prices])

    def only(self, kept: Sequence[Identity]) -> Evidence:
        """Returns the evidence for those of the targets that are in `kept`."""
        at = [position for position, target in enumerate(self.targets) if target in kept]
        columns = {name: getattr(self, name)[:, at] for name in COLUMNS}
        targets = tuple([self.targets[position] for position in at])
        return replace(self, targets=targets, prices=tuple([self.prices[position] for position in at]), **columns)

    def differences(self, prices: Sequence[Price], value: float | None) -> Array:
        """Returns the utility of the policy minus the utility of each constant: (prompts, targets).

        The argument `prices` contains the present price of each target, and `value` is the worth of a good answer in US
        dollars. If `value` is None, costs do not count.
        """
        utilities, chosen = self.utilities(prices, value), self.choices(prices, value)
        difference: Array = np.take_along_axis(utilities, chosen[:, None], axis=1) - utilities
        return difference

    def utilities(self, prices: Sequence[Price], value: float | None) -> Array:
        """Returns the real utility of each answer."""
        return self.scores if value is None else self.scores - self._costs_at(prices) / value

    def choices(self, prices: Sequence[Price], value: float | None) -> NDArray[np.intp]:
        """Returns the position of the target that the policy chooses for each prompt."""
        expected = 0.0 if value is None else listed_costs(prices, self.input_tokens, self.expected_tokens) / value
        chosen: NDArray[np.intp] = (self.preferences - expected).argmax(axis=1)
        return chosen

    def ranking(self, prices: Sequence[Price], value: float | None) -> tuple[str, ...]:
        """Returns the names of the targets, the highest mean utility first."""
        order = np.argsort(-self.utilities(prices, value).mean(axis=0), kind="stable")
        return tuple([self.names[position] for position in order])

    def _costs_at(self, prices: Sequence[Price]) -> Array:
        """Returns what the answers cost at other prices. A real cost changes in the same ratio as the listed cost."""
        before, now = [listed_costs(each, self.input_tokens, self.output_tokens) for each in (self.prices, prices)]
        scaled: Array = np.where(before > 0, self.costs * now / np.where(before > 0, before, 1), now)
        return scaled
