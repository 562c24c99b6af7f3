"""The plan of a calibration: what is missing, what it will cost, and which gain the answers can prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rl_router_api.accounting.money import FREE, NOTHING, cost_of, total
from rl_router_api.accounting.usage import Usage
from rl_router_api.config import Target
from rl_router_policy.guard import MARGIN

from ..table import USUAL_TOKENS
from .power import prompts_for, provable_gain, serving_gain

_OTHER_TOKENS = 250
"""The number of output tokens of a usual answer to a prompt without a known family."""


@dataclass(frozen=True)
class Plan:
    """What a run of a calibration will do.

    Costs are in US dollars. The attribute `costs` maps the name of each target, and of the judge, to the expected cost
    of the missing answers. The attribute `worst` is the maximum cost of all missing answers, and the attribute
    `largest` is the maximum cost of the missing answers to one prompt.
    """

    prompts: int
    complete: int
    missing: int
    costs: dict[str, Decimal]
    worst: Decimal
    largest: Decimal
    budget: Decimal
    spent: Decimal
    deviation: float

    @property
    def expected(self) -> Decimal:
        return total(list(self.costs.values()))

    @property
    def affordable(self) -> int:
        """The expected number of prompts that will have all answers."""
        unfinished, left = self.prompts - self.complete, max(self.budget - self.spent, NOTHING)
        if self.expected <= left:
            return self.prompts
        return self.complete + int(unfinished * left / self.expected)

    @property
    def lines(self) -> list[str]:
        """The plan as lines of text."""
        spent = f", of which {self.spent:.4f} are spent" if self.spent else ""
        lines = [
            f"prompts: {self.prompts:,}, of which {self.complete:,} are finished; missing answers: {self.missing:,}",
            f"budget: {self.budget:f} USD{spent}",
            f"expected cost: {self.expected:.4f} USD (at most {self.worst:.4f} USD, with the longest answers)",
            *[f"  {name}: {cost:.4f} USD" for name, cost in self.costs.items() if cost],
        ]
        if self.largest > max(self.budget - self.spent, NOTHING):
            lines.append(
                f"the answers to one prompt may cost {self.largest:.4f} USD, which the budget does not pay for. Raise"
                " --budget, or lower --max-output"
            )
        if self.affordable < self.prompts:
            lines.append(f"the budget pays for about {self.affordable:,} of {self.prompts:,} prompts, drawn at random")
        return [*lines, *self._power()]

    def _power(self) -> list[str]:
        if not self.affordable:
            return ["the budget pays for no prompt"]
        gain = provable_gain(self.affordable, self.deviation)
        half = prompts_for(gain / 2, self.deviation)
        served = serving_gain(self.affordable, self.deviation)
        return [
            f"{self.affordable:,} prompts prove a gain of {gain:.3f} in mean utility in 4 of 5 cases. Half of this gain"
            f" needs {half:,} prompts",
            f"with a guard margin of {MARGIN}, a policy with a gain of {served:.3f} serves in 4 of 5 cases",
        ]


def usual_tokens(family: object, lengths: Sequence[int]) -> float:
    """Returns the expected number of output tokens of a target's answer.

    The sequence `lengths` contains the numbers of output tokens of the target's earlier answers. Without earlier
    answers, the family of the prompt determines the number.
    """
    if lengths:
        return sum(lengths) / len(lengths)
    return float(USUAL_TOKENS.get(str(family), _OTHER_TOKENS))


def expected_cost(target: Target, input_tokens: float, output_tokens: float) -> Decimal:
    """Returns the expected cost of an answer in US dollars."""
    return cost_of(Usage(round(input_tokens), round(output_tokens)), target.price or FREE)
