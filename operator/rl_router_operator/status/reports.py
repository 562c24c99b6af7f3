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
    """The state of an upstream, and the reason if the state is `bad`."""

    word: RouterModelState
    reason: str | None = None


@dataclass(frozen=True)
class Report:
    """The health report of one API pod.

    The attribute `refused` is the reason why the pod rejects its configuration file or its keys file, or None if the
    pod reports no rejection. The attribute `closed` is the reason why the pod rejects every client, or None if the pod
    does not report this.
    """

    pod: str
    refused: str | None
    closed: str | None
    router_model: State
    targets: Mapping[str, State]


@dataclass(frozen=True)
class Reports:
    """The health reports of the ready API pods.

    The attribute `unreachable` contains the name and the error of each API pod whose health requests failed.
    """

    received: tuple[Report, ...] = ()
    unreachable: tuple[tuple[str, str], ...] = ()
    pending: bool = False
    """Whether API pods are ready, but the health of none of these pods is confirmed yet."""

    @property
    def router_model(self) -> State:
        """The router model's state: the first of `ok`, `bad` and `unused` that a pod reports, or else `unknown`."""
        return _first([report.router_model for report in self.received], "ok", "bad", "unused")

    @property
    def partly_undecided(self) -> str | None:
        """The reason why an API pod reports `bad` for the router model while another reports `ok`, or else None."""
        states = [report.router_model for report in self.received]
        bad = [state.reason for state in states if state.word == "bad"]
        return bad[0] if bad and self.router_model.word == "ok" else None

    @property
    def refused(self) -> str | None:
        """The reason why an API pod rejects its configuration file or keys file, or None if no pod reports this."""
        return next((report.refused for report in self.received if report.refused), None)

    @property
    def closed(self) -> str | None:
        """The reason why an API pod rejects every client, or None if no API pod reports this."""
        return next((report.closed for report in self.received if report.closed), None)

    @property
    def target_names(self) -> list[str]:
        """The sorted names of the targets that at least one API pod reports."""
        return sorted({name for report in self.received for name in report.targets})

    def target(self, name: str) -> State:
        """Returns the first of `bad` and `ok` that an API pod reports for a target, or else `unknown`.

        The state `bad` comes first, because some requests go to the pod that reports `bad`.
        """
        return _first(self._of(name), "bad", "ok")

    def can_answer(self, name: str) -> bool:
        """Returns whether at least one API pod reports that the target can answer."""
        return any(state.word == "ok" for state in self._of(name))

    def _of(self, name: str) -> list[State]:
        return [report.targets[name] for report in self.received if name in report.targets]


def reports_of(ready: Iterable[Manifest], healths: Mapping[str, Health]) -> Reports:
    """Returns the health reports of the API pods `ready`.

    The mapping `healths` contains the confirmed healths by the name of the pod.
    """
    names = sorted(pod["metadata"]["name"] for pod in ready)
    results = [(name, _report(name, healths[name])) for name in names if name in healths]
    received = tuple(report for _, report in results if isinstance(report, Report))
    unreachable = tuple((name, error) for name, error in results if isinstance(error, str))
    return Reports(received, unreachable, pending=bool(names) and not results)


def _report(pod: str, health: Health) -> Report | str:
    """Returns the health report of an API pod, or the reason why the health request to the pod failed."""
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
    """Returns the reason that a health report gives for a bad state.

    If the reason contains the path of a mounted Secret, the function replaces the path with the name and the key of the
    Secret, because readers of a status do not know the path.
    """
    reason, file = quote(health.reason) or "no reason given", quote(health.file)
    if source := keys.secret_key_at(file):
        secret, key = source
        return reason.replace(file, f"key {key} of Secret {secret}")
    return reason


def _first(states: list[State], *order: RouterModelState) -> State:
    """Returns a state with the first word in `order` that any of the states has, or else the state `unknown`."""
    for word in order:
        for state in states:
            if state.word == word:
                return state
    return State("unknown")
