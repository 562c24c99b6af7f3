"""The whole spec of a RouterDeployment."""

from __future__ import annotations

from pydantic import Field
from rl_router_api.config import Schema

from .api import Api
from .base import Annotations, Labels
from .model import Model
from .routing import RoutingSpec, TargetSpec


class ServiceMonitor(Schema):
    """A ServiceMonitor of the Prometheus operator for the API and the router model."""

    enabled: bool = Field(False, description="make one")
    labels: Labels = Field(default_factory=dict, description="labels by which a Prometheus finds it")


class Monitoring(Schema):
    """How the router is watched."""

    service_monitor: ServiceMonitor = Field(ServiceMonitor(), description="a ServiceMonitor for the API and the model")


class RouterDeploymentSpec(Schema):
    """What a RouterDeployment asks for; `{}` is a router of the bundled model on a CPU, between its own names."""

    model: Model = Field(Model(), description="the router model: the one that decides")
    api: Api = Field(Api(), description="the router API: the endpoint that clients use")
    routing: RoutingSpec = Field(RoutingSpec(), description="how requests are routed")
    targets: list[TargetSpec] = Field(
        default_factory=list,
        max_length=64,
        description="the models that answer; left out: every model that the router model's server lists, at price 0",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    labels: Labels = Field(default_factory=dict, description="labels for everything that is made")
    annotations: Annotations = Field(default_factory=dict, description="annotations for everything that is made")
    monitoring: Monitoring = Field(Monitoring(), description="how the router is watched")
    suspend: bool = Field(False, description="run no pods; storage and Services are kept")
