"""What the API's pods say of themselves at /health, each one's and all together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..manifest import Manifest
from ..observed import Health
from ..resources import keys
from .words import quote

_KEY_FILE = re.compile(rf"{keys.FOLDER}/([-a-z0-9.]+)/([-._a-zA-Z0-9]+)")

Word = Literal["ok", "bad", "unknown"]


@dataclass(frozen=True)
class State:
    """How an upstream is, and why it is bad."""

    word: Word
    reason: str | None = None


@dataclass(frozen=True)
class Report:
    """What one pod said; `refused` is why its configuration is not in force, `closed` why nobody gets in."""

    pod: str
    refused: str | None
    closed: str | None
    router_model: State
    targets: Mapping[str, State]


@dataclass(frozen=True)
class Reports:
    """What the ready pods said; `silent` are those that were asked in vain, with why."""

    heard: tuple[Report, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()
    pending: bool = False
    """Whether there are ready pods and none of them was asked yet."""

    @property
    def router_model(self) -> State:
        """The best that any pod says."""
        return _first([report.router_model for report in self.heard], "ok", "bad")

    @property
    def doubted(self) -> str | None:
        """Why a pod has no decision from the router model though others have."""
        bad = [each.router_model.reason for each in self.heard if each.router_model.word == "bad"]
        return bad[0] if bad and self.router_model.word == "ok" else None

    @property
    def refused(self) -> str | None:
        """Why a pod's configuration is not in force."""
        return next((each.refused for each in self.heard if each.refused), None)

    @property
    def closed(self) -> str | None:
        """Why a pod lets nobody in."""
        return next((each.closed for each in self.heard if each.closed), None)

    @property
    def target_names(self) -> list[str]:
        """The targets that any pod has."""
        return sorted({name for report in self.heard for name in report.targets})

    def target(self, name: str) -> State:
        """The worst that any pod says of a target: some requests meet that."""
        return _first(self._of(name), "bad", "ok")

    def can_answer(self, name: str) -> bool:
        """Whether any pod reaches the target."""
        return any(state.word == "ok" for state in self._of(name))

    def _of(self, name: str) -> list[State]:
        return [report.targets[name] for report in self.heard if name in report.targets]


def reports_of(ready: Iterable[Manifest], healths: Mapping[str, Health]) -> Reports:
    """What the ready pods said of themselves."""
    names = sorted(pod["metadata"]["name"] for pod in ready)
    read = [(name, _report(name, healths[name])) for name in names if name in healths]
    heard = tuple(report for _, report in read if isinstance(report, Report))
    silent = tuple((name, report) for name, report in read if isinstance(report, str))
    return Reports(heard, silent, pending=bool(names) and not read)


def _report(pod: str, health: Health) -> Report | str:
    """The report, or why there is none; whatever listens on the port may have answered anything."""
    if health.answer is None:
        return quote(health.trouble) or "no answer"
    answer = health.answer
    router_model, targets = _state(answer.get("router_model")), answer.get("targets")
    if router_model is None or not isinstance(targets, Mapping):
        return "its answer is not a router API's"
    states = {quote(name): _state(each) or State("unknown") for name, each in targets.items()}
    configuration = answer.get("configuration")
    refused, closed = (_reason_of(configuration, word) for word in ("refused", "closed"))
    return Report(pod, refused, closed, router_model, states)


def _state(said: Any) -> State | None:
    match said:
        case {"state": "ok" | "unknown" as word}:
            return State(word)
        case {"state": "bad"}:
            return State("bad", _reason(said))
    return None


def _reason_of(said: Any, word: str) -> str | None:
    match said:
        case {"state": state} if state == word:
            return _reason(said)
    return None


def _reason(said: Mapping[str, Any]) -> str:
    """Whoever reads a status knows the Secret and not where it is mounted."""
    return _KEY_FILE.sub(r"key \2 of Secret \1", quote(said.get("reason"))) or "no reason given"


def _first(states: list[State], *order: Word) -> State:
    """The first state of the first word that any has."""
    for word in order:
        for state in states:
            if state.word == word:
                return state
    return State("unknown")
