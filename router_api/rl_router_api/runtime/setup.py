"""One configuration in force: its fleet, its policies, and how its upstreams are. A reload makes a new one."""

from __future__ import annotations

from .. import policies
from ..config import ROUTED_NAMES, Configuration, Price, Target, check_names
from ..dialects.chat.read_request import ChatRequest
from ..errors import ApiError, bad_request
from ..routing.decide import Policy
from ..upstreams.fleet import Fleet, fleet_of
from ..upstreams.in_flight import Flight
from ..upstreams.listing import Listed
from ..upstreams.transport import Transport
from .probe import Probe


class Setup:
    """What a request begins and ends with, whatever is reloaded meanwhile."""

    def __init__(
        self,
        configuration: Configuration,
        targets: tuple[Target, ...],
        transport: Transport,
        flight: Flight,
        before: Fleet | None,
    ) -> None:
        self.configuration = configuration
        self.fleet = fleet_of(configuration, targets, transport, flight, before)
        self._policies: dict[str, Policy] = {}
        self.policy(configuration.routing.policy)
        self.probe = Probe(self.fleet, self.policy)

    def policy(self, name: str) -> Policy:
        """The policy of that name. Raises KeyError."""
        made = self._policies.get(name)
        if made is None:
            made = self._policies[name] = policies.create(name, self.fleet)
        return made

    def policy_for(self, request: ChatRequest) -> Policy:
        """The policy that a request runs under. Raises ApiError."""
        name = request.options.policy or self.configuration.routing.policy
        try:
            return self.policy(name)
        except KeyError:
            known = ", ".join(policies.names())
            raise bad_request(
                f"`router.policy`: there is no policy `{name}`; known: {known}.", "router.policy"
            ) from None

    def pinned_target(self, request: ChatRequest) -> str | None:
        """The target that a request names as its model; None where it is to be routed. Raises ApiError, a 404."""
        for name in request.options.models or ():
            if self.fleet.target(name) is None:
                known = ", ".join(target.name for target, _ in self.fleet.targets)
                raise bad_request(f"`router.models`: there is no target `{name}`; known: {known}.", "router.models")
        if request.model in ROUTED_NAMES or request.model in self.configuration.routing.aliases:
            return None
        if self.fleet.target(request.model) is None:
            raise unknown_model(request.model)
        return request.model

    def model_names(self) -> list[str]:
        """Every name under which a request may be made."""
        return [*ROUTED_NAMES, *self.configuration.routing.aliases, *(target.name for target, _ in self.fleet.targets)]


def unknown_model(name: str) -> ApiError:
    """OpenAI's 404 for a model that is not there."""
    message = f"The model `{name}` does not exist; `GET /v1/models` lists those that do."
    return ApiError(404, message, param="model", code="model_not_found")


def targets_of(listed: list[Listed], configuration: Configuration) -> tuple[Target, ...]:
    """The models that the router model's server lists as targets of price 0; unusable names are passed over."""
    router = configuration.router
    routing = configuration.routing.model_copy(update={"fallback": ()})
    found: list[Target] = []
    for each in listed:
        try:
            target = Target(
                name=each.id, base_url=router.base_url, price=Price(), context_length=each.max_model_len,
                api_key_env=router.api_key_env, api_key_file=router.api_key_file,
            )  # fmt: skip
            check_names((*found, target), routing)
        except ValueError:
            continue
        found.append(target)
    return tuple(found)
