"""Defines the spec of a RouterDeployment."""

from __future__ import annotations

from pydantic import Field
from rl_router_api.config import Schema

from .api import Api
from .base import MAP_BY_NAME, Annotations, Labels, rules
from .model import Model
from .routing import RoutingSpec, TargetSpec


class ServiceMonitor(Schema):
    """ServiceMonitors (Prometheus operator) for the API and for a hosted router model on vLLM."""

    enabled: bool = Field(False, description="whether to create ServiceMonitors")
    labels: Labels = Field(
        default_factory=dict, description="labels to add to the ServiceMonitors, by which Prometheus finds them"
    )


class Monitoring(Schema):
    """The monitoring of the router by Prometheus."""

    service_monitor: ServiceMonitor = Field(
        ServiceMonitor(),
        description="ServiceMonitors (Prometheus operator) for the router API and for a hosted router model with the"
        " engine `vllm`",
    )


_TOOL_NAMES = (
    "self.targets.map(target, ('call_' + target.name.replace('.', '_').replace(':', '_').replace('/', '_')"
    ".replace('@', '_').replace('+', '_').replace('-', '_')))"
    ".map(name, size(name) > 64 ? name.substring(0, 64) : name)"
)
"""A CEL expression for the list of the targets' tool names. The router model calls a target by the target's tool name.

For each target, the expression has the same result as the Python function `rl_router_api.config.tool_name`, because the
expression replaces all special characters that target names can contain.
"""


class RouterDeploymentSpec(Schema):
    """The spec of a RouterDeployment. With `spec: {}`, the bundled model is the router model and the only target."""

    model_config = rules(
        (
            f"!has(self.targets) || [{_TOOL_NAMES}].all(names, names.all(name, names.indexOf(name) == "
            "names.lastIndexOf(name)))",
            "the router model would call two targets by the same tool name. A tool name contains the first 59"
            " characters of a target's name, with `_` instead of special characters. Rename one of the two targets",
            ".targets",
        ),
        (
            "!has(self.targets) || !has(self.routing) || !has(self.routing.aliases)"
            " || !self.targets.exists(target, target.name in self.routing.aliases)",
            "an alias in spec.routing.aliases is also the name of a target. Rename the alias or the target",
            ".routing.aliases",
        ),
        (
            "!has(self.targets) || size(self.targets) == 0 || !has(self.routing) || !has(self.routing.fallback)"
            " || self.routing.fallback.all(name, self.targets.exists(target, target.name == name))",
            "spec.routing.fallback names an unknown target. Add the target to spec.targets, or correct the name"
            " in spec.routing.fallback",
            ".routing.fallback",
        ),
    )

    model: Model = Field(Model(), description="router model, which decides how to answer a request")
    api: Api = Field(Api(), description="router API, to which clients send requests")
    routing: RoutingSpec = Field(
        RoutingSpec(), description="rules for routing requests, and settings for calling the router model"
    )
    targets: list[TargetSpec] = Field(
        default_factory=list,
        max_length=64,
        description="target models, which answer requests; default: every model that the router model's server"
        " lists, at a price of 0, except models whose name is invalid, reserved or already used",
        json_schema_extra=MAP_BY_NAME,
    )
    labels: Labels = Field(
        default_factory=dict, description="labels to add to the objects that the operator creates for the router"
    )
    annotations: Annotations = Field(
        default_factory=dict, description="annotations to add to the objects that the operator creates for the router"
    )
    monitoring: Monitoring = Field(Monitoring(), description="monitoring of the router by Prometheus")
    suspend: bool = Field(
        False,
        description="whether to stop all pods of the router. The operator keeps the volumes and Services of a stopped"
        " router",
    )
