"""What a serving process holds: the configuration in force, its fleet and policies, and what is under way."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from . import policies
from .config import ROUTED_NAMES, Configuration, Price, Target, check_names, tool_name
from .decide import Policy
from .errors import RouterError, bad_request
from .fleet import Fleet, fleet_of
from .journal import log
from .listing import Listed, ListingError, list_models
from .metrics import Metrics
from .probe import Probe
from .transport import Transport
from .wire import ChatRequest

_LOOK_AGAIN = 5.0


class Runtime:
    """Made at the start of a process; `start` needs a running event loop."""

    def __init__(self, configuration: Configuration, transport: Transport) -> None:
        self.configuration = configuration
        self.metrics = Metrics()
        self.in_flight = 0
        self.draining = False
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()
        self._use(configuration.targets or ())

    def _use(self, targets: tuple[Target, ...]) -> None:
        self.fleet: Fleet = fleet_of(self.configuration, targets, self._transport)
        self._policies: dict[str, Policy] = {}
        self.policy(self.configuration.routing.policy)
        self.probe = Probe(self.fleet, self.policy)

    async def start(self) -> None:
        """Finds the targets where none are configured, and begins to probe the upstreams."""
        if self.configuration.targets is None:
            self._spawn(self._discover())
        for target, upstream in self.fleet.targets:
            if missing := upstream.key.missing:
                log(logging.WARNING, f"target `{target.name}` is left out: {missing}", target=target.name)
        self._spawn(self._keep_probing())

    async def stop(self) -> None:
        """Ends what `start` began and closes every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()

    def policy(self, name: str) -> Policy:
        """The policy of that name for the fleet in use. Raises KeyError."""
        made = self._policies.get(name)
        if made is None:
            made = self._policies[name] = policies.create(name, self.fleet)
        return made

    def policy_for(self, request: ChatRequest) -> Policy:
        """The policy that a request runs under. Raises RouterError."""
        name = request.options.policy or self.configuration.routing.policy
        try:
            return self.policy(name)
        except KeyError:
            known = ", ".join(policies.names())
            raise bad_request(
                f"`router.policy`: there is no policy `{name}`; known: {known}.", "router.policy"
            ) from None

    def pinned_target(self, request: ChatRequest) -> str | None:
        """The target that a request names as its model; None where it is to be routed. Raises RouterError, a 404."""
        self._check_allowed(request)
        if request.model in ROUTED_NAMES or request.model in self.configuration.routing.aliases:
            return None
        if self.fleet.target(request.model) is None:
            message = f"The model `{request.model}` does not exist; `GET /v1/models` lists those that do."
            raise RouterError(404, message, param="model", code="model_not_found")
        return request.model

    def _check_allowed(self, request: ChatRequest) -> None:
        for name in request.options.models or ():
            if self.fleet.target(name) is None:
                known = ", ".join(target.name for target, _ in self.fleet.targets)
                raise bad_request(f"`router.models`: there is no target `{name}`; known: {known}.", "router.models")

    def model_names(self) -> list[str]:
        """Every name under which a request may be made."""
        return [*ROUTED_NAMES, *self.configuration.routing.aliases, *(target.name for target, _ in self.fleet.targets)]

    def health(self) -> dict[str, Any]:
        """The state of the router model and of every target; `degraded` where any of them is bad."""
        state = self.probe.state()
        bad = [each for each in (state["router_model"], *state["targets"].values()) if each["state"] == "bad"]
        return {"status": "degraded" if bad or not state["targets"] else "ok", **state}

    async def _discover(self) -> None:
        """Without configured targets: every model that the router model's server lists is one, at price 0."""
        while True:
            try:
                listed = await list_models(self.fleet.router_model, self._transport)
            except ListingError as error:
                log(logging.DEBUG, f"the router model's server lists no targets yet: {error}")
            else:
                targets = targets_of(listed, self.configuration)
                if targets:
                    self._use(targets)
                    names = [target.name for target in targets]
                    log(logging.INFO, "targets found at the router model's server", targets=names)
                    return
            await asyncio.sleep(1.0)

    async def _keep_probing(self) -> None:
        while True:
            await self.probe.look()
            await asyncio.sleep(_LOOK_AGAIN)

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)


def targets_of(listed: list[Listed], configuration: Configuration) -> tuple[Target, ...]:
    """The listed models as targets of price 0; names that cannot be a target's are passed over."""
    router = configuration.router
    found: list[Target] = []
    for each in listed:
        taken = {tool_name(target.name) for target in found}
        if each.id.startswith("router") or tool_name(each.id) in taken:
            continue
        try:
            target = Target(
                name=each.id, base_url=router.base_url, price=Price(), context_length=each.max_model_len,
                api_key_env=router.api_key_env, api_key_file=router.api_key_file,
            )  # fmt: skip
            check_names((target,), configuration.routing.model_copy(update={"fallback": ()}))
        except ValueError:
            continue
        found.append(target)
    return tuple(found)
