"""Describes a decision to a router model whose server decides by a learned policy, and reads the server's reasons."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from rl_router_policy.threads import use_one_thread

from ...conversation.answer import Answer
from ...conversation.request import Request
from ...routing.decide import Candidate, Limits, PastCall, PolicySetup
from ..explanation import Explainer, explainer_of

if TYPE_CHECKING:
    from rl_router_policy.situation import Choice, Situation

    from ..situation import Terms


class LearnedServer:
    """What the requests to a server with a learned policy contain under one configuration."""

    def __init__(self, setup: PolicySetup) -> None:
        self._setup = setup
        self.is_supported = find_spec("numpy") is not None
        """Whether numpy is installed, which a description needs."""

    def describe(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Situation:
        """Returns the situation in which a policy decides about a request."""
        from ..situation import situation_of

        return situation_of(conversation, candidates, limits, calls, self._terms)

    def explain(self, situation: Situation, choice: Choice) -> dict[str, Any] | None:
        """Returns the field `decision` of `router_metadata`, or None if the choice is not a target."""
        return self._explainer.explain(situation, choice)

    @cached_property
    def _terms(self) -> Terms:
        from ..situation import terms_of

        return terms_of(self._setup)

    @cached_property
    def _explainer(self) -> Explainer:
        return explainer_of("rl", self._setup, self._terms)


class Description:
    """The description of one decision. The attribute `situation` is None until the method `field` is called."""

    def __init__(
        self,
        server: LearnedServer,
        conversation: Request,
        candidates: Sequence[Candidate],
        limits: Limits,
        calls: Sequence[PastCall],
    ) -> None:
        self._server = server
        self._request = conversation, candidates, limits, calls
        self.situation: Situation | None = None

    def field(self) -> bytes:
        """Returns the field `rl_router` of a request to the router model, as JSON."""
        # The process may use the policy `learned` later.
        use_one_thread()
        # The modules of the policy import numpy, which uses 20 MB. Most router models do not need the field.
        from rl_router_policy.wire import as_json

        self.situation = self._server.describe(*self._request)
        return msgspec.json.encode(as_json(self.situation))

    def reasons(self, answer: Answer, target: str | None) -> Reasons | None:
        """Returns the reasons in the server's answer.

        The argument `target` is the name of the first target that the answer calls, or None if the answer calls no
        target. Returns None if the server did not get the description, or if the answer's field `rl_router` is missing
        or cannot be read.
        """
        field = answer.fields.get("rl_router")
        if self.situation is None or field is None:
            return None
        try:
            read = msgspec.json.decode(field, type=_Field)
        except (msgspec.DecodeError, RecursionError):
            return None
        return Reasons(read.reason, self._server.explain(self.situation, read.choice(self.situation, target)))


class Reasons(Struct, frozen=True):
    """Why the server made a decision, in words and as the field `decision` of `router_metadata`."""

    text: str
    explanation: dict[str, Any] | None


class _Estimate(Struct):
    tool: str
    quality: float
    preference: float
    cost: float | None = None


class _Field(Struct):
    """The field `rl_router` of the server's answer."""

    artefact: str
    reason: str
    challenger: str | None = None
    candidates: list[_Estimate] = []

    def choice(self, situation: Situation, target: str | None) -> Choice:
        """Returns the server's choice, with only those estimates whose functions belong to candidates."""
        from rl_router_policy.situation import Choice, Estimate

        offered = {candidate.tool: candidate.target for candidate in situation.candidates}
        tool = next((tool for tool, name in offered.items() if name == target), None)
        known = [each for each in self.candidates if each.tool in offered]
        estimates = tuple([Estimate(each.tool, each.quality, each.preference, each.cost) for each in known])
        return Choice(self.artefact, self.reason, tool, challenger=self.challenger, candidates=estimates)
