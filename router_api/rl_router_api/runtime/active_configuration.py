"""Defines the active configuration: the configuration in use, with its targets, its policies and its health probe.

After each change of the configuration or of the default policy, and after the discovery of targets, the server creates
a new object of the class `ActiveConfiguration`.
"""

from __future__ import annotations

from .. import policies
from ..config import Configuration, Prefer, Target
from ..errors import ConfigurationError, bad_request
from ..health import PolicyHealth
from ..routing.answer import Answerer
from ..routing.ask import RouterModel
from ..routing.decide import Policy, PolicySetup, ReadsFiles
from ..routing.goal import unit_of, word_for
from ..upstreams.fleet import Fleet, fleet_of
from ..upstreams.in_flight import InFlight
from ..upstreams.key import Key
from ..upstreams.transport import Transport
from .probe import Probe


class ActiveConfiguration:
    """A configuration that the server uses, with its targets, its policies and its health probe.

    An in-flight request keeps the configuration with which the request started, even after a reload. The attribute
    `policy_name` is the name of the policy for requests that name no policy.
    """

    def __init__(
        self,
        configuration: Configuration,
        targets: tuple[Target, ...],
        transport: Transport,
        in_flight: InFlight,
        before: Fleet | None,
        policy_name: str,
    ) -> None:
        self.configuration = configuration
        self.policy_name = policy_name
        self.fleet = fleet_of(configuration, targets, transport, in_flight, before)
        self.unit = unit_of(targets)
        """The unit for the worth of a good answer in US dollars, as the function `unit_of` returns it."""
        router_model = RouterModel(self.fleet)
        self._policy_setup = PolicySetup(
            configuration.router, configuration.routing, router_model.ask, targets, self.unit
        )
        self._policies: dict[str, Policy] = {}
        self.routing = Answerer(self.fleet, self.policy_named)
        self.probe = Probe(self.fleet, self.policy_named(None), self.unit, learn=router_model.learn)

    def policy_named(self, name: str | None) -> Policy:
        """Returns the policy that is called `name`, or the policy `policy_name` if `name` is None.

        Raises ApiError with status 400 if the policy is unknown or needs a package that is not installed.
        """
        name = name or self.policy_name
        if name not in self._policies:
            if problem := policies.problem(name):
                raise bad_request(f"`router.policy`: {problem}.", "router.policy")
            self._policies[name] = policies.create(name, self._policy_setup)
        return self._policies[name]

    async def refresh_policies(self) -> None:
        """Makes the policies that read files read the changed files."""
        for policy in tuple(self._policies.values()):
            if isinstance(policy, ReadsFiles):
                await policy.refresh()

    @property
    def policy_health(self) -> PolicyHealth | None:
        """The health of the policy `policy_name`, or None if the policy reads no files."""
        policy = self.policy_named(None)
        return policy.health() if isinstance(policy, ReadsFiles) else None

    @property
    def prefer(self) -> Prefer:
        """The goal in the configuration as a word."""
        prefer = self.configuration.routing.prefer
        return prefer if isinstance(prefer, str) else word_for(prefer, self.unit)


def check_keys(configuration: Configuration) -> None:
    """Raises ConfigurationError if the API key of every target is missing.

    A target with an `api_key_file` prevents the error, because a missing key file may appear later.
    """
    missing = [Key(target).missing for target in configuration.targets or () if target.api_key_file is None]
    if missing and all(missing) and len(missing) == len(configuration.targets or ()):
        raise ConfigurationError(
            f"targets: no target has its API key: {'; '.join(map(str, missing))}. Set at least one of these API keys."
        )
