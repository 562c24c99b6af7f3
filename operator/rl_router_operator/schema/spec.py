"""The whole spec of a RouterDeployment."""

from __future__ import annotations

from pydantic import Field
from rl_router_api.config import Schema

from .api import Api
from .base import MAP_BY_NAME, Annotations, Labels, rules
from .model import Model
from .routing import RoutingSpec, TargetSpec


class ServiceMonitor(Schema):
    """A ServiceMonitor of the Prometheus operator for the API and the router model."""

    enabled: bool = Field(False, description="make one")
    labels: Labels = Field(default_factory=dict, description="labels by which a Prometheus finds it")


class Monitoring(Schema):
    """How the router is watched."""

    service_monitor: ServiceMonitor = Field(ServiceMonitor(), description="a ServiceMonitor for the API and the model")


_TOOL_NAMES = (
    "self.targets.map(target, ('call_' + target.name.replace('.', '_').replace(':', '_').replace('/', '_')"
    ".replace('@', '_').replace('+', '_').replace('-', '_')))"
    ".map(name, size(name) > 64 ? name.substring(0, 64) : name)"
)
"""As rl_router_api.config.tool_name: the characters are those that a target's name may have besides."""


class RouterDeploymentSpec(Schema):
    """What a RouterDeployment asks for; `{}` is a router of the bundled model on a CPU, between its own names."""

    model_config = rules(
        (
            f"!has(self.targets) || [{_TOOL_NAMES}].all(names, names.all(name, names.indexOf(name) == "
            "names.lastIndexOf(name)))",
            "two names differ only in what the router model does not see (characters other than letters and digits, or"
            " all after the 59th): rename one",
            ".targets",
        ),
        (
            "!has(self.targets) || !has(self.routing) || !has(self.routing.aliases)"
            " || !self.targets.exists(target, target.name in self.routing.aliases)",
            "an alias is a target's name too: a name is routed or goes to its target, not both",
            ".routing.aliases",
        ),
        (
            "!has(self.targets) || size(self.targets) == 0 || !has(self.routing) || !has(self.routing.fallback)"
            " || self.routing.fallback.all(name, self.targets.exists(target, target.name == name))",
            "a name is no target's: add it to spec.targets, or correct it",
            ".routing.fallback",
        ),
    )

    model: Model = Field(Model(), description="the router model: the one that decides")
    api: Api = Field(Api(), description="the router API: the endpoint that clients use")
    routing: RoutingSpec = Field(RoutingSpec(), description="how requests are routed")
    targets: list[TargetSpec] = Field(
        default_factory=list,
        max_length=64,
        description="the models that answer; left out: every model that the router model's server lists, at price 0",
        json_schema_extra=MAP_BY_NAME,
    )
    labels: Labels = Field(default_factory=dict, description="labels for everything that is made")
    annotations: Annotations = Field(default_factory=dict, description="annotations for everything that is made")
    monitoring: Monitoring = Field(Monitoring(), description="how the router is watched")
    suspend: bool = Field(False, description="run no pods; storage and Services are kept")
