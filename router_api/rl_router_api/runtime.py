"""What a serving process holds: the setup in force, who may use it, and what is under way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from . import tracing
from .access import Access, ApiKey, KeysError
from .config import Configuration, Target
from .fleet import Fleet
from .flight import Flight
from .journal import log
from .ledger import Ledger, Texts
from .listing import ListingError, list_models
from .metrics import Metrics
from .settings import ConfigurationError, Loaded, Source, with_keys
from .setup import Setup, targets_of
from .shared import Counters
from .transport import Transport

_LOOK_AGAIN = 1.0
_REQUESTS = "requests"


@dataclass(frozen=True)
class Shares:
    """What the workers of one server share."""

    counters: Counters
    flight: Flight


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
        shares = shares or Shares(Counters(), Flight())
        self.metrics = Metrics()
        self.tracing = tracing.from_environment()
        self.draining = False
        self.refused: str | None = None
        self._refused_keys: str | None = None
        """The keys file for whose sake the files are refused; it need not be the one in force."""
        self._source = source
        self._transport = transport
        self._counters = shares.counters
        self._flight = shares.flight
        self._tasks: set[asyncio.Task[None]] = set()
        configuration = loaded.configuration
        self.current = Setup(configuration, configuration.targets or (), transport, self._flight, None)
        self.access = self._access(loaded)
        if loaded.refused is not None:
            self._refuse(loaded.refused, "the files as they are now are refused, the last good ones are in force")
        self._text = self._texts()

    @property
    def in_flight(self) -> int:
        """Requests under way in all workers."""
        return self._flight.total(_REQUESTS)

    def begin(self) -> None:
        """A request starts."""
        self._flight.change(_REQUESTS, 1)

    def end(self) -> None:
        """A request ended, however it did."""
        self._flight.change(_REQUESTS, -1)

    def book(self, ledger: Ledger, status: int, key: ApiKey | None, texts: Texts = "none", **more: object) -> None:
        """Closes the books of an ended request: in the metrics, in its key's day, and as its one line in the log."""
        ledger.close()
        self.metrics.book(ledger, status)
        said: dict[str, Any] = {"status": status, **ledger.metadata(texts), **more}
        if key is not None:
            said["key"] = key.name
            self.access.spend(key, said["total_cost"])
        log(logging.INFO, "request", **said)

    @property
    def configuration(self) -> Configuration:
        return self.current.configuration

    @property
    def fleet(self) -> Fleet:
        return self.current.fleet

    async def start(self) -> None:
        """Begins to look at the upstreams and at the files."""
        self._tell_of_keys()
        self._spawn(self._keep_discovering())
        self._spawn(self._keep_probing())
        self._spawn(self._keep_reading())

    async def stop(self) -> None:
        """Ends what `start` began and closes every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)

    def health(self) -> dict[str, Any]:
        """The state of the configuration, of the router model and of every target."""
        state = self.current.probe.state()
        bad = [each for each in (state["router_model"], *state["targets"].values()) if each["state"] == "bad"]
        well = not bad and state["targets"] and not self.refused
        configured = {"state": "refused", "reason": self.refused} if self.refused else {"state": "ok"}
        return {"status": "ok" if well else "degraded", "configuration": configured, **state}

    def reload(self) -> None:
        """Takes the configuration and the keys as they are on disk; wrong ones are refused whole."""
        try:
            loaded = self._source.load() if self._source else with_keys(self.configuration)
        except (ConfigurationError, KeysError) as error:
            self._refuse(error, "the changed configuration is refused, the running one stays")
            return
        self.refused = self._refused_keys = None
        configuration = loaded.configuration
        if self._source:
            self._source.remember(loaded)
        self.access = self._access(loaded)
        if configuration != self.configuration:
            if configuration.server != self.configuration.server:
                log(logging.WARNING, "server.host, ports and workers take effect at the next start")
            targets = configuration.targets or self._found_targets(configuration)
            self.current = Setup(configuration, targets, self._transport, self._flight, self.fleet)
            self._tell_of_keys()
            log(logging.INFO, "configuration read anew")

    def _refuse(self, error: ConfigurationError | KeysError, words: str) -> None:
        if self.refused != str(error):
            log(logging.ERROR, f"{words}: {error}")
        self.refused = str(error)
        self._refused_keys = error.path if isinstance(error, KeysError) else None

    def _found_targets(self, configuration: Configuration) -> tuple[Target, ...]:
        """Targets that were listed, not configured, stay where the router model does."""
        same = self.configuration.targets is None and configuration.router == self.configuration.router
        return tuple(target for target, _ in self.fleet.targets) if same else ()

    def _access(self, loaded: Loaded) -> Access:
        if loaded.keys == ():
            path = loaded.configuration.server.api_keys_file
            log(logging.WARNING, f"{path} holds no keys: nobody gets in")
        return Access(loaded.keys, self._counters)

    def _tell_of_keys(self) -> None:
        for target, upstream in self.fleet.targets:
            if missing := upstream.key.missing:
                log(logging.WARNING, f"target `{target.name}` is left out: {missing}", target=target.name)
        host = self.configuration.server.host
        if self.access.open and host not in ("127.0.0.1", "localhost", "::1"):
            log(logging.WARNING, f"anybody who reaches {host} may use this server: no server.api_keys_file is set")

    async def _keep_discovering(self) -> None:
        """Without configured targets: every model that the router model's server lists is one, at price 0."""
        while True:
            if self.configuration.targets is None and not self.fleet.targets:
                await self._discover()
            await asyncio.sleep(_LOOK_AGAIN)

    async def _discover(self) -> None:
        try:
            listed = await list_models(self.fleet.router_model, self._transport)
        except ListingError as error:
            log(logging.DEBUG, f"the router model's server lists no targets yet: {error}")
            return
        targets = targets_of(listed, self.configuration)
        if targets:
            self.current = Setup(self.configuration, targets, self._transport, self._flight, self.fleet)
            names = [target.name for target in targets]
            log(logging.INFO, "targets found at the router model's server", targets=names)

    async def _keep_probing(self) -> None:
        while True:
            await self.current.probe.look(self._book_probe)
            await asyncio.sleep(_LOOK_AGAIN)

    def _book_probe(self, ledger: Ledger) -> None:
        """What no request pays has books of its own, so that the metrics of requests equal their ledgers."""
        ledger.close()
        self.metrics.book_probe(ledger)
        if ledger.router_calls:
            log(logging.INFO, "probe", **ledger.metadata("none"))

    async def _keep_reading(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            text = self._texts()
            if text != self._text:
                self._text = text
                self.reload()
            self.metrics.look(self.fleet, self.in_flight, refused=bool(self.refused))

    def _texts(self) -> bytes:
        """What is on disk now: the configuration and the keys."""
        configured = self._source.text if self._source else b""
        keys = [Source(path).text for path in (self.configuration.server.api_keys_file, self._refused_keys)]
        return b"\0".join([configured, *keys])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(work))
