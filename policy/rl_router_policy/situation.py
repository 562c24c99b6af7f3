"""The input and the result of a policy's decision: the situation and the choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .features import NO_CONTEXT, Context
from .profile import Profile, Profiles

Verdict = Literal["proven", "safe", "unproven", "off"]
"""The verdict of the guard. The policy may choose targets unless the verdict is `unproven`."""
Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Price:
    """Prices in US dollars per million tokens, and the price of each request in US dollars."""

    input: float
    output: float
    request: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A target that can be called.

    The attribute `tool` is the name of the function that calls the target. The attribute `cost` is the cost of the
    request and its input in US dollars. If `cost` is None, this cost follows from the length of the conversation and
    from `price`. If `price` is None, the cost of a call is unknown, even if `cost` is set. The attribute `latency` is
    in seconds (None if unknown). If `profile` is None, the policy uses the profile in the catalogue, if any. The
    attribute `model` is the name under which the endpoint serves the target. If `model` is None, this name is the
    target's name.
    """

    tool: str
    target: str
    effort: str | None = None
    price: Price | None = None
    profile: Profile | None = None
    cost: float | None = None
    latency: float | None = None
    explorable: bool = True
    model: str | None = None


def profile_of(candidate: Candidate, catalogue: Profiles) -> Profile:
    """Returns the profile of a candidate. If the candidate has a price, it replaces the profile's prices."""
    known = candidate.profile or _catalogued(candidate, catalogue) or Profile()
    if candidate.price is None:
        return known
    return Profile(candidate.price.input, candidate.price.output, known.parameters, known.benchmarks)


def _catalogued(candidate: Candidate, catalogue: Profiles) -> Profile | None:
    names = (candidate.model, candidate.target)
    return next((profile for name in names if name and (profile := catalogue(name))), None)


@dataclass(frozen=True)
class Call:
    """A call that was made for the request. The attribute `cost` is in US dollars."""

    call_id: str
    tool: str
    status: Status
    answer: str = ""
    cost: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Situation:
    """The input of a policy's decision about a request.

    The attribute `value` is the worth of a good answer in US dollars, which is above 0. If `value` is None, neither
    costs nor latencies count. The attribute `second_price` is the price of a second of waiting in US dollars. The
    attribute `ranking` contains the names of targets. If the guard's verdict is `unproven`, the policy calls the first
    target in `ranking` that is a candidate without a failed call, or the best constant if no such target exists.
    """

    text: str
    candidates: tuple[Candidate, ...]
    value: float | None = None
    second_price: float = 0.0
    guard: Verdict = "unproven"
    ranking: tuple[str, ...] = ()
    context: Context = NO_CONTEXT
    turns_left: int = 1
    calls: tuple[Call, ...] = ()

    @property
    def input_tokens(self) -> float:
        """The estimated number of tokens of the conversation."""
        return self.context.input_tokens(self.text)


@dataclass(frozen=True)
class Estimate:
    """The policy's predictions for a candidate. The attribute `cost` is in US dollars (None if unknown)."""

    tool: str
    quality: float
    preference: float
    cost: float | None


@dataclass(frozen=True)
class Choice:
    """A decision of the policy: the function of the candidate to call, the id of the call to select, or neither.

    The attributes `tool` and `select` are both None if every candidate's call failed, or if no candidate exists. If a
    constant is called because the policy is not proven, `challenger` is the function of the policy's own choice.
    """

    artefact: str
    reason: str
    tool: str | None = None
    select: str | None = None
    challenger: str | None = None
    candidates: tuple[Estimate, ...] = ()
