"""Describes a decision to a router model whose server decides by a learned policy, and reads the server's reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from rl_router_policy.folder import Version, newest_first
from rl_router_policy.threads import use_one_thread

from ...conversation.answer import Answer
from ...conversation.request import Request
from ...health import GuardVerdict
from ...routing.decide import Candidate, Limits, PastCall, PolicySetup
from ..artefact_folder import claims_in, folder_of
from ..explanation import explainer_of

if TYPE_CHECKING:
    from rl_router_policy.situation import Choice, Situation

    from ..situation import Terms


_RECHECK = 1.0
"""The number of seconds after which the folder of artefacts is searched again for the claims of an artefact."""

_UNPROVEN = GuardVerdict(verdict="unproven")


@dataclass(frozen=True)
class _Known:
    """What the configuration and the guard say about an artefact, as of the last search of the folder of artefacts."""

    artefact: str
    versions: Sequence[Version]
    terms: Terms
    until: float


class LearnedServer:
    """Describes decisions under one configuration to a server with a learned policy, and explains the choices."""

    def __init__(self, setup: PolicySetup) -> None:
        self._setup = setup
        self._explainer = explainer_of("rl", setup)
        self._known: _Known | None = None
        self.is_supported = find_spec("numpy") is not None
        """Whether numpy is installed, which a description needs."""

    def describe(
        self,
        artefact: str,
        conversation: Request,
        candidates: Sequence[Candidate],
        limits: Limits,
        calls: Sequence[PastCall],
    ) -> tuple[Situation, GuardVerdict]:
        """Returns the situation in which the artefact decides about a request, and the guard's verdict."""
        from ..situation import situation_of

        terms = self._terms_of(artefact)
        situation = situation_of(conversation, candidates, limits, calls, terms)
        return situation, terms.rulings.at(situation.value).guard

    def explain(self, situation: Situation, choice: Choice, guard: GuardVerdict) -> dict[str, Any] | None:
        """Returns the field `decision` of `router_metadata`, or None if the choice is not a target."""
        return self._explainer.explain(situation, choice, guard)

    def _terms_of(self, artefact: str) -> Terms:
        """Returns what the configuration and the guard say about an artefact.

        The claims of the artefact come from the folder of artefacts. If the folder does not contain the artefact, the
        artefact is unproven, unless the guard is off. A change of the folder takes effect after at most one second.
        """
        known, now = self._known, monotonic()
        if known is None or known.artefact != artefact or now > known.until:
            versions = newest_first(folder_of(self._setup.routing))
            is_unchanged = known is not None and (known.artefact, known.versions) == (artefact, versions)
            terms = known.terms if known is not None and is_unchanged else self._read(artefact, versions)
            known = self._known = _Known(artefact, versions, terms, now + _RECHECK)
        return known.terms

    def _read(self, artefact: str, versions: Sequence[Version]) -> Terms:
        from ..situation import terms_of

        claims = claims_in(versions, artefact) if self._setup.routing.guard else None
        return terms_of(self._setup, claims)


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
        self._guard = _UNPROVEN

    def field(self, artefact: str) -> bytes:
        """Returns the field `rl_router` of a request to the router model, as JSON.

        The argument `artefact` is the hash of the artefact by which the router model's server decides.
        """
        # The process may use the policy `learned` later.
        use_one_thread()
        # The modules of the policy import numpy, which uses 20 MB. Most router models do not need the field.
        from rl_router_policy.wire import as_json

        self.situation, self._guard = self._server.describe(artefact, *self._request)
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
        choice = read.choice(self.situation, target)
        return Reasons(read.reason, self._server.explain(self.situation, choice, self._guard))


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
