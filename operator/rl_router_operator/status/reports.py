"""Reads the health reports of the API pods, and combines them."""

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
    """The state of an upstream, and the reason if it is bad."""

    word: RouterModelState
    reason: str | None = None


@dataclass(frozen=True)
class Report:
    """The health report of one API pod.

    `refused` is the reason why the pod rejects its configuration. `closed` is the reason why the pod rejects every
    client.
    """

    pod: str
    refused: str | None
    closed: str | None
    router_model: State
    targets: Mapping[str, State]


@dataclass(frozen=True)
class Reports:
    """The reports of the ready pods. `unreachable` has (pod, error) for each failed health request."""

    received: tuple[Report, ...] = ()
    unreachable: tuple[tuple[str, str], ...] = ()
    pending: bool = False
    """Whether pods are ready, but no health request to them has finished yet."""

    @property
    def router_model(self) -> State:
        """The router model's state: `ok` if any pod reports `ok`, else `bad` if any reports `bad`, else `unused`."""
        return _first([report.router_model for report in self.received], "ok", "bad", "unused")

    @property
    def partly_undecided(self) -> str | None:
        """The reason why a pod received no decision from the router model although other pods did, or else None."""
        states = [report.router_model for report in self.received]
        bad = [state.reason for state in states if state.word == "bad"]
        return bad[0] if bad and self.router_model.word == "ok" else None

    @property
    def refused(self) -> str | None:
        """The reason why a pod rejects its configuration, or None if every pod uses its configuration."""
        return next((report.refused for report in self.received if report.refused), None)

    @property
    def closed(self) -> str | None:
        """The reason why a pod rejects every client, or None if every pod admits clients."""
        return next((report.closed for report in self.received if report.closed), None)

    @property
    def target_names(self) -> list[str]:
        """The names of the targets that any pod reports, sorted."""
        return sorted({name for report in self.received for name in report.targets})

    def target(self, name: str) -> State:
        """Returns the worst state that any pod reports for a target, because some requests go to that pod."""
        return _first(self._of(name), "bad", "ok")

    def can_answer(self, name: str) -> bool:
        """Returns whether any pod reports that the target can answer."""
        return any(state.word == "ok" for state in self._of(name))

    def _of(self, name: str) -> list[State]:
        return [report.targets[name] for report in self.received if name in report.targets]


def reports_of(ready: Iterable[Manifest], healths: Mapping[str, Health]) -> Reports:
    """Returns the reports of the ready pods. `healths` maps pod names to health documents."""
    names = sorted(pod["metadata"]["name"] for pod in ready)
    results = [(name, _report(name, healths[name])) for name in names if name in healths]
    received = tuple(report for _, report in results if isinstance(report, Report))
    unreachable = tuple((name, error) for name, error in results if isinstance(error, str))
    return Reports(received, unreachable, pending=bool(names) and not results)


def _report(pod: str, health: Health) -> Report | str:
    """Returns the report, or the reason why the health request failed."""
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
        targets={quote(name): _state(health) for name, health in document.targets.items()},
    )


def _state(health: UpstreamHealth | RouterModelHealth) -> State:
    return State("bad", _reason(health)) if health.state == "bad" else State(health.state)


def _reason(health: UpstreamHealth | RouterModelHealth | ConfigurationHealth) -> str:
    """Returns the reason with the Secret's name instead of its mount path, which readers of a status do not know."""
    reason, file = quote(health.reason) or "no reason given", quote(health.file)
    if source := keys.secret_key_at(file):
        secret, key = source
        return reason.replace(file, f"key {key} of Secret {secret}")
    return reason


def _first(states: list[State], *order: RouterModelState) -> State:
    """Returns the state whose word comes first in `order`. If `order` contains no state's word, returns `unknown`."""
    for word in order:
        for state in states:
            if state.word == word:
                return state
    return State("unknown")
