"""The state of a process that serves requests: configuration, authentication, recorders and in-flight requests."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from ..access.admission import Admission
from ..access.day_counters import DayCounters
from ..accounting import traces
from ..accounting.log import log, lost_lines, set_level
from ..accounting.metrics import CurrentState, Metrics
from ..accounting.recorders import Recorder
from ..accounting.request_log import RequestLog
from ..config import Configuration, Target
from ..health import ConfigurationHealth, HealthDocument
from ..upstreams.fleet import Fleet
from ..upstreams.in_flight import InFlight
from ..upstreams.transport import Transport
from .active_configuration import ActiveConfiguration
from .configuration_warnings import closed_reason, warn_about_keys, warn_if_closed, warn_if_restart_needed
from .default_policy import RouterModelSearch
from .discovery import kept_targets, listed_targets
from .load import Load
from .periodic import each_second
from .probe import record_probe
from .source import LoadedConfiguration, Source
from .watched_files import WatchedFiles


@dataclass(frozen=True)
class SharedState:
    """The tables that the workers of one server share."""

    counters: DayCounters
    in_flight: InFlight


class Runtime:
    """The state of one process of the server. The method `start` requires a running event loop."""

    def __init__(
        self,
        loaded: LoadedConfiguration,
        transport: Transport,
        source: Source | None = None,
        shared: SharedState | None = None,
    ) -> None:
        self._shared = shared or SharedState(DayCounters(), InFlight())
        self.load = Load(self._shared.in_flight)
        self.metrics = Metrics()
        self.draining = False
        self._request_log = RequestLog()
        self._traces = traces.from_environment()
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()
        self._search = RouterModelSearch()
        self.active = self._build(loaded.configuration, loaded.configuration.targets or (), None)
        self.admission = _admission(loaded, self._shared.counters)
        self._files = WatchedFiles(loaded, source)

    @property
    def configuration(self) -> Configuration:
        return self.active.configuration

    @property
    def fleet(self) -> Fleet:
        return self.active.fleet

    @property
    def refused(self) -> str | None:
        """The reason why the server rejected the configuration file or the keys file on disk, or None if the server
        rejected neither file."""
        return self._files.refused

    @property
    def recorders(self) -> tuple[Recorder, ...]:
        """The recorders that receive the ledger of a new request when the request ends."""
        recorders: tuple[Recorder, ...] = (self.metrics, self.admission, self._request_log)
        return recorders if self._traces is None else (*recorders, self._traces)

    @property
    def in_flight(self) -> int:
        """The number of in-flight requests in all workers."""
        return self.load.in_flight

    async def start(self) -> None:
        """Logs warnings about API keys, chooses the default policy, and starts the background tasks. The tasks discover
        targets, choose the default policy again, probe upstreams, read changed files, and update the metrics."""
        warn_about_keys(self.fleet, self.admission)
        await self._choose_policy()
        for work in (self._discover, self._probe, self._watch):
            self._tasks.add(asyncio.get_running_loop().create_task(each_second(work)))

    async def stop(self) -> None:
        """Cancels the background tasks, closes every connection to an upstream, and sends remaining traces."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # The exception of a cancelled task refers to the task's connection and would keep the connection in memory.
        self._tasks.clear()
        await self._transport.close()
        if self._traces is not None:
            await asyncio.to_thread(self._traces.close)

    def health(self) -> HealthDocument:
        """Returns the overall status, and the health of the configuration, router model, targets and policy."""
        probe, configuration = self.active.probe, self._configuration_health()
        router_model, targets = probe.router_model, probe.targets
        policy = self.active.policy_health
        states = [router_model.state, *(target.state for target in targets.values())]
        states += [policy.state] if policy else []
        healthy = "bad" not in states and targets and configuration.state == "ok"
        return HealthDocument(
            status="ok" if healthy else "degraded",
            configuration=configuration,
            router_model=router_model,
            targets=targets,
            policy=policy,
        )

    def _configuration_health(self) -> ConfigurationHealth:
        if self.refused:
            return ConfigurationHealth(state="refused", reason=self.refused, file=self._files.refused_keys_file)
        if self.admission.closed:
            server = self.configuration.server
            return ConfigurationHealth(state="closed", reason=closed_reason(server), file=server.api_keys_file)
        return ConfigurationHealth(state="ok")

    def current_state(self) -> CurrentState:
        """Returns the current state of the server, as input for the metrics."""
        upstreams = {"router": self.fleet.router_model} | {
            target.name: upstream for target, upstream in self.fleet.targets
        }
        open_breakers = {name: upstream.breaker.state != "closed" for name, upstream in upstreams.items()}
        return CurrentState(self.in_flight, bool(self.refused), open_breakers, lost_lines())

    def reload(self) -> None:
        """Reloads the configuration file and the keys file, unless a file is rejected or changes during the reload."""
        loaded = self._files.read()
        if loaded is None:
            return
        # The steps that may fail come first, so that a failed reload changes nothing.
        changed = self._build_if_changed(loaded.configuration)
        self._files.accept(loaded)
        self.admission = _admission(loaded, self._shared.counters)
        if changed is not None:
            set_level(changed.configuration.server.log_level)
            warn_if_restart_needed(self.configuration.server, changed.configuration.server)
            self.active = changed
            warn_about_keys(self.fleet, self.admission)
            log(logging.INFO, "configuration reloaded")

    def _build_if_changed(self, configuration: Configuration) -> ActiveConfiguration | None:
        """Returns the new active configuration, or None if the configuration has not changed."""
        if configuration == self.configuration:
            return None
        return self._build(configuration, configuration.targets or kept_targets(self.fleet, configuration), self.fleet)

    def _build(
        self, configuration: Configuration, targets: tuple[Target, ...], before: Fleet | None
    ) -> ActiveConfiguration:
        name = self._search.policy_of(configuration)
        return ActiveConfiguration(configuration, targets, self._transport, self._shared.in_flight, before, name)

    async def _discover(self) -> None:
        """Chooses the default policy again. If no targets are configured and none have been discovered yet, requests
        the list of models from the router model's server and uses the suitable models as targets."""
        await self._choose_policy()
        active = self.active
        if active.configuration.targets is not None or active.fleet.targets:
            return
        targets = await listed_targets(active.fleet)
        # A reload may have activated another configuration meanwhile.
        if targets and self.active is active:
            self.active = self._build(active.configuration, targets, active.fleet)
            names = [target.name for target in targets]
            log(logging.INFO, "discovered targets at the router model's server", targets=names)

    async def _choose_policy(self) -> None:
        """Searches for a router model if the policy depends on the result, and uses the policy that results."""
        active = self.active
        has_searched = await self._search.run(active.fleet)
        name = self._search.policy_of(active.configuration) if has_searched else active.policy_name
        if name != active.policy_name and self.active is active:
            targets = tuple(target for target, _ in active.fleet.targets)
            self.active = await asyncio.to_thread(self._build, active.configuration, targets, active.fleet)
            log(logging.INFO, f"no policy is configured, so the policy is `{name}`")

    async def _probe(self) -> None:
        await self.active.probe.run(lambda ledger: record_probe(self.metrics, ledger))

    async def _watch(self) -> None:
        if self._files.changed():
            self.reload()
        await self.active.refresh_policies()
        self.metrics.update(self.current_state())


def _admission(loaded: LoadedConfiguration, counters: DayCounters) -> Admission:
    admission = Admission(loaded.keys, counters)
    warn_if_closed(loaded.configuration.server, admission)
    return admission
