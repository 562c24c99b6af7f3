"""What a serving process holds: the setup in force, who is admitted, who records requests, and what is in flight."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from ..access.admission import Admission
from ..access.day_counters import DayCounters
from ..accounting import traces
from ..accounting.log import log, set_level
from ..accounting.metrics import CurrentState, Metrics
from ..accounting.recorders import Recorder
from ..accounting.request_log import RequestLog
from ..config import Configuration, Target
from ..health import ConfigurationHealth, HealthDocument
from ..upstreams.fleet import Fleet
from ..upstreams.in_flight import InFlight
from ..upstreams.transport import Transport
from .discovery import kept_targets, listed_targets
from .periodic import each_second
from .probe import record_probe
from .reload import Files
from .setup import Setup
from .setup_warnings import warn_of_closed_server, warn_of_restart, warn_of_setup, why_closed
from .source import Loaded, Source

_REQUESTS = "requests"


@dataclass(frozen=True)
class Shares:
    """What the workers of one server share."""

    counters: DayCounters
    in_flight: InFlight


class Runtime:
    """Made when a process starts. `start` needs a running event loop."""

    def __init__(
        self, loaded: Loaded, transport: Transport, source: Source | None = None, shares: Shares | None = None
    ) -> None:
        self._shares = shares or Shares(DayCounters(), InFlight())
        self.metrics = Metrics()
        self.draining = False
        self._request_log = RequestLog()
        self._traces = traces.from_environment()
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()
        self.current = self._setup(loaded.configuration, loaded.configuration.targets or (), None)
        self.admission = _admission(loaded, self._shares.counters)
        self._files = Files(loaded, source)

    @property
    def configuration(self) -> Configuration:
        return self.current.configuration

    @property
    def fleet(self) -> Fleet:
        return self.current.fleet

    @property
    def refused(self) -> str | None:
        """Why the configuration or the keys on disk are not in force. None if they are."""
        return self._files.refused

    @property
    def recorders(self) -> tuple[Recorder, ...]:
        """The recorders of a request that begins now."""
        recorders: tuple[Recorder, ...] = (self.metrics, self.admission, self._request_log)
        return recorders if self._traces is None else (*recorders, self._traces)

    @property
    def in_flight(self) -> int:
        """Requests in flight in all workers."""
        return self._shares.in_flight.total(_REQUESTS)

    def begin(self) -> None:
        """Counts a request that starts."""
        self._shares.in_flight.change(_REQUESTS, 1)

    def end(self) -> None:
        """Counts a request that ended, however it did."""
        self._shares.in_flight.change(_REQUESTS, -1)

    async def start(self) -> None:
        """Begins to discover targets, to probe the upstreams and to watch the files."""
        warn_of_setup(self.fleet, self.admission)
        for work in (self._discover, self._probe, self._watch):
            self._tasks.add(asyncio.get_running_loop().create_task(each_second(work)))

    async def stop(self) -> None:
        """Ends what `start` began and closes every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # The exception of a task that was cancelled refers to the connection that it used.
        self._tasks.clear()
        await self._transport.close()
        if self._traces is not None:
            await asyncio.to_thread(self._traces.close)

    def health(self) -> HealthDocument:
        """The state of the configuration, of the router model and of every target."""
        probe, configuration = self.current.probe, self._configured()
        router_model, targets = probe.router_model, probe.targets
        states = [router_model.state, *(target.state for target in targets.values())]
        well = "bad" not in states and targets and configuration.state == "ok"
        return HealthDocument(
            status="ok" if well else "degraded",
            configuration=configuration,
            router_model=router_model,
            targets=targets,
        )

    def _configured(self) -> ConfigurationHealth:
        if self.refused:
            return ConfigurationHealth(state="refused", reason=self.refused, file=self._files.refused_keys_file)
        if self.admission.closed:
            server = self.configuration.server
            return ConfigurationHealth(state="closed", reason=why_closed(server), file=server.api_keys_file)
        return ConfigurationHealth(state="ok")

    def current_state(self) -> CurrentState:
        """How the server is now, for the metrics."""
        upstreams = {"router": self.fleet.router_model} | {target.name: each for target, each in self.fleet.targets}
        open_breakers = {name: upstream.breaker.state != "closed" for name, upstream in upstreams.items()}
        return CurrentState(self.in_flight, bool(self.refused), open_breakers)

    def reload(self) -> None:
        """Takes the configuration and the keys on disk into force, or refuses them as a whole."""
        loaded = self._files.read()
        if loaded is None:
            return
        # What may fail comes first, so that nothing is taken halfway.
        setup = self._changed(loaded.configuration)
        self._files.accept(loaded)
        self.admission = _admission(loaded, self._shares.counters)
        if setup is not None:
            set_level(setup.configuration.server.log_level)
            warn_of_restart(self.configuration.server, setup.configuration.server)
            self.current = setup
            warn_of_setup(self.fleet, self.admission)
            log(logging.INFO, "configuration reloaded")

    def _changed(self, configuration: Configuration) -> Setup | None:
        """Returns the setup of a changed configuration. None if it is the one in force."""
        if configuration == self.configuration:
            return None
        return self._setup(configuration, configuration.targets or kept_targets(self.fleet, configuration), self.fleet)

    def _setup(self, configuration: Configuration, targets: tuple[Target, ...], before: Fleet | None) -> Setup:
        return Setup(configuration, targets, self._transport, self._shares.in_flight, before)

    async def _discover(self) -> None:
        """Looks for targets at the router model's server if none are configured."""
        setup = self.current
        if setup.configuration.targets is not None or setup.fleet.targets:
            return
        targets = await listed_targets(setup.fleet)
        # A reload may have brought another configuration meanwhile.
        if targets and self.current is setup:
            self.current = self._setup(setup.configuration, targets, setup.fleet)
            names = [target.name for target in targets]
            log(logging.INFO, "targets found at the router model's server", targets=names)

    async def _probe(self) -> None:
        await self.current.probe.run(lambda ledger: record_probe(self.metrics, ledger))

    async def _watch(self) -> None:
        if self._files.changed():
            self.reload()
        self.metrics.update(self.current_state())


def _admission(loaded: Loaded, counters: DayCounters) -> Admission:
    admission = Admission(loaded.keys, counters)
    warn_of_closed_server(loaded.configuration.server, admission)
    return admission
