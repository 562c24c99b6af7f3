"""What a serving process holds: the setup in force, who may use it, and what is under way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..access.admission import Admission
from ..access.day_counters import DayCounters
from ..accounting import traces
from ..accounting.ledger import Ledger
from ..accounting.log import log, set_level
from ..accounting.metrics import CurrentState, Metrics
from ..accounting.recorders import Recorder
from ..accounting.request_log import RequestLog, log_probe
from ..config import Configuration, Server, Target
from ..errors import ConfigurationError, KeysError, ListingError
from ..upstreams.fleet import Fleet
from ..upstreams.in_flight import InFlight
from ..upstreams.listing import list_models
from ..upstreams.transport import Transport
from .setup import Setup, targets_of
from .source import Loaded, Source, with_keys

_LOOK_AGAIN = 1.0
_REQUESTS = "requests"
_AT_THE_START = ("host", "port", "admin_port", "workers")


@dataclass(frozen=True)
class Shares:
    """What the workers of one server share."""

    counters: DayCounters
    in_flight: InFlight


class Runtime:
    """Made at the start of a process; `start` needs a running event loop.

    `refused` says why the configuration, or the keys, as they are now on disk are not in force.
    """

    def __init__(
        self,
        loaded: Loaded,
        transport: Transport,
        source: Source | None = None,
        shares: Shares | None = None,
    ) -> None:
        shares = shares or Shares(DayCounters(), InFlight())
        self.metrics = Metrics()
        self._traces = traces.from_environment()
        self._request_log = RequestLog()
        self.draining = False
        self.refused: str | None = None
        self._refused_keys: str | None = None
        """The keys file for whose sake the files are refused; it need not be the one in force."""
        self._source = source
        self._transport = transport
        self._counters = shares.counters
        self._in_flight = shares.in_flight
        self._tasks: set[asyncio.Task[None]] = set()
        self._loaded = loaded
        configuration = loaded.configuration
        self.current = Setup(configuration, configuration.targets or (), transport, self._in_flight, None)
        self.admission = self._admission(loaded)
        if loaded.refused is not None:
            self._refuse(loaded.refused, "the files as they are now are refused, the last good ones are in force")
        self._text = self._noticed = self._texts()
        """The files' texts when they were read, and when they were looked at."""

    @property
    def in_flight(self) -> int:
        """Requests under way in all workers."""
        return self._in_flight.total(_REQUESTS)

    def begin(self) -> None:
        """A request starts."""
        self._in_flight.change(_REQUESTS, 1)

    def end(self) -> None:
        """A request ended, however it did."""
        self._in_flight.change(_REQUESTS, -1)

    @property
    def recorders(self) -> tuple[Recorder, ...]:
        """Who learns of a request that begins now, once it has ended."""
        recorders: tuple[Recorder, ...] = (self.metrics, self.admission, self._request_log)
        return recorders if self._traces is None else (*recorders, self._traces)

    @property
    def configuration(self) -> Configuration:
        return self.current.configuration

    @property
    def fleet(self) -> Fleet:
        return self.current.fleet

    async def start(self) -> None:
        """Begins to look at the upstreams and at the files."""
        self._tell_of_keys()
        for work in (self._discover, self._probe, self._read):
            self._tasks.add(asyncio.get_running_loop().create_task(_each_second(work)))

    async def stop(self) -> None:
        """Ends what `start` began and closes every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()
        if self._traces is not None:
            await asyncio.to_thread(self._traces.close)

    def health(self) -> dict[str, Any]:
        """The state of the configuration, of the router model and of every target."""
        state = self.current.probe.state()
        bad = [each for each in (state["router_model"], *state["targets"].values()) if each["state"] == "bad"]
        configured = self._configured()
        well = not bad and state["targets"] and configured["state"] == "ok"
        return {"status": "ok" if well else "degraded", "configuration": configured, **state}

    def state(self) -> CurrentState:
        """How the server is now, for the metrics."""
        upstreams = {"router": self.fleet.router_model} | {target.name: each for target, each in self.fleet.targets}
        open_breakers = {name: upstream.breaker.state != "closed" for name, upstream in upstreams.items()}
        return CurrentState(self.in_flight, bool(self.refused), open_breakers)

    def _configured(self) -> dict[str, str]:
        if self.refused:
            return {"state": "refused", "reason": self.refused}
        if self.admission.closed:
            return {"state": "closed", "reason": _closed(self.configuration)}
        return {"state": "ok"}

    def reload(self) -> None:
        """Takes the configuration and the keys as they are on disk; wrong ones are refused whole."""
        before = self._texts()
        try:
            loaded = self._source.load(self._loaded.authentication) if self._source else with_keys(self.configuration)
        except (ConfigurationError, KeysError) as error:
            self._refuse(error, "the changed configuration is refused, the running one stays")
            return
        if self._texts() != before:
            return  # Written while it was read: read again once it has been the same for a second.
        # Whatever may go wrong comes first, so that nothing is taken halfway.
        setup = self._changed(loaded.configuration)
        self._loaded = loaded
        self.refused = self._refused_keys = None
        if self._source:
            self._source.remember(loaded)
        self.admission = self._admission(loaded)
        if setup is not None:
            self._tell_of_server(setup.configuration.server)
            self.current = setup
            self._tell_of_keys()
            log(logging.INFO, "configuration read anew")

    def _changed(self, configuration: Configuration) -> Setup | None:
        """What a changed configuration brings."""
        if configuration == self.configuration:
            return None
        targets = configuration.targets or self._found_targets(configuration)
        return Setup(configuration, targets, self._transport, self._in_flight, self.fleet)

    def _tell_of_server(self, server: Server) -> None:
        """Says what of a changed `server` section waits for the next start."""
        set_level(server.log_level)
        running = self.configuration.server
        late = [f"server.{name}" for name in _AT_THE_START if getattr(server, name) != getattr(running, name)]
        if late:
            log(logging.WARNING, f"what changed of {', '.join(late)} takes effect at the next start")

    def _refuse(self, error: ConfigurationError | KeysError, words: str) -> None:
        if self.refused != str(error):
            log(logging.ERROR, f"{words}: {error}")
        self.refused = str(error)
        self._refused_keys = error.path if isinstance(error, KeysError) else None

    def _found_targets(self, configuration: Configuration) -> tuple[Target, ...]:
        """Targets that were listed, not configured, stay where the router model does."""
        same = self.configuration.targets is None and configuration.router == self.configuration.router
        return tuple(target for target, _ in self.fleet.targets) if same else ()

    def _admission(self, loaded: Loaded) -> Admission:
        admission = Admission(loaded.keys, self._counters)
        if admission.closed:
            log(logging.WARNING, _closed(loaded.configuration))
        return admission

    def _tell_of_keys(self) -> None:
        for target, upstream in self.fleet.targets:
            if missing := upstream.key.missing:
                log(logging.WARNING, f"target `{target.name}` is left out: {missing}", target=target.name)
        host = self.configuration.server.host
        if self.admission.open and host not in ("127.0.0.1", "localhost", "::1"):
            log(logging.WARNING, f"anybody who reaches {host} may use this server: no server.api_keys_file is set")

    async def _discover(self) -> None:
        """Without configured targets: every model that the router model's server lists is one, at price 0."""
        if self.configuration.targets is not None or self.fleet.targets:
            return
        try:
            listed = await list_models(self.fleet.router_model, self._transport)
        except ListingError as error:
            log(logging.DEBUG, f"the router model's server lists no targets yet: {error}")
            return
        targets = targets_of(listed, self.configuration)
        if targets:
            self.current = Setup(self.configuration, targets, self._transport, self._in_flight, self.fleet)
            names = [target.name for target in targets]
            log(logging.INFO, "targets found at the router model's server", targets=names)

    async def _probe(self) -> None:
        await self.current.probe.look(self._book_probe)

    def _book_probe(self, ledger: Ledger) -> None:
        """Records a probe apart from requests, so that the metrics of requests equal the sums of their ledgers."""
        ledger.close()
        self.metrics.record_probe(ledger)
        log_probe(ledger)

    async def _read(self) -> None:
        text = self._texts()
        if text != self._text and text == self._noticed:
            # The same for a second: whoever writes it has done so.
            self._text = text
            self.reload()
        self._noticed = text
        self.metrics.update(self.state())

    def _texts(self) -> bytes:
        """What is on disk now: the configuration and the keys."""
        configured = self._source.text if self._source else b""
        keys = [Source(path).text for path in (self.configuration.server.api_keys_file, self._refused_keys)]
        return b"\0".join([configured, *keys])


def _closed(configuration: Configuration) -> str:
    file = Path(configuration.server.api_keys_file or "")
    return f"{file} holds no keys: nobody gets in" if file.exists() else f"{file} is not there: nobody gets in"


async def _each_second(work: Callable[[], Awaitable[None]]) -> None:
    """Goes on whatever happens: a server that reads no file and asks no upstream any more would look well."""
    while True:
        try:
            await work()
        except Exception:
            logging.getLogger("rl_router").exception("what is looked after each second failed for a reason of our own")
        await asyncio.sleep(_LOOK_AGAIN)
