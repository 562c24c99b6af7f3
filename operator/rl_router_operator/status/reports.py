"""What the API's pods report at /health, for each pod and for all together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rl_router_api.health import (
    ConfigurationHealth,
    HealthDocument,
    RouterModelHealth,
    RouterModelState,
    UpstreamHealth,
)

from ..objects.manifest import Manifest
from ..objects.observed import Health
from ..resources import keys
from .words import quote


@dataclass(frozen=True)
class State:
    """How an upstream is, and why it is bad."""

    word: RouterModelState
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
        return _first([report.router_model for report in self.heard], "ok", "bad", "unused")

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
    """The report, or why there is none."""
    if health.document is None:
        return quote(health.error) or "no answer"
    return _read(pod, health.document)


def _read(pod: str, document: HealthDocument) -> Report:
    configuration = document.configuration
    return Report(
        pod,
        refused=_reason(configuration) if configuration.state == "refused" else None,
        closed=_reason(configuration) if configuration.state == "closed" else None,
        router_model=_state(document.router_model),
        targets={quote(name): _state(each) for name, each in document.targets.items()},
    )


def _state(said: UpstreamHealth | RouterModelHealth) -> State:
    return State("bad", _reason(said)) if said.state == "bad" else State(said.state)


def _reason(said: UpstreamHealth | RouterModelHealth | ConfigurationHealth) -> str:
    """Whoever reads a status knows the Secret and not where it is mounted."""
    reason, file = quote(said.reason) or "no reason given", quote(said.file)
    if named := keys.named_by(file):
        secret, key = named
        return reason.replace(file, f"key {key} of Secret {secret}")
    return reason


def _first(states: list[State], *order: RouterModelState) -> State:
    """The first state of the first word that any has."""
    for word in order:
        for state in states:
            if state.word == word:
                return state
    return State("unknown")
