"""The status of a RouterDeployment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from rl_router_api.config import Schema
from rl_router_api.health import UpstreamState

from .base import MAP_BY_NAME

Ready = Literal["True", "False", "Unknown"]


class Condition(Schema):
    """One thing that is so or not, and why, as in every Kubernetes object."""

    type: str = Field(max_length=64, description="ModelReady, APIReady, TargetsReady, Ready or Degraded")
    status: Ready = Field(description="True, False or Unknown")
    reason: str = Field(max_length=128, description="a stable word for why")
    message: str = Field("", max_length=4096, description="a sentence that a person can act on")
    observed_generation: int = Field(0, ge=0, description="the spec's generation that was looked at")
    last_transition_time: str = Field(
        max_length=32, description="when the status last changed", json_schema_extra={"format": "date-time"}
    )


class TargetState(Schema):
    """How a target is, as the API's pods see it."""

    name: str = Field(max_length=128, description="the target's name")
    state: UpstreamState = Field(description="ok, bad or unknown")
    reason: str | None = Field(None, max_length=512, description="why it is bad")


class RouterDeploymentStatus(Schema):
    """How the router is."""

    observed_generation: int = Field(0, ge=0, description="the spec's generation that this status is about")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="ModelReady, APIReady, TargetsReady, Ready, Degraded",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    replicas: int = Field(0, ge=0, description="the API's pods")
    selector: str = Field("", max_length=1024, description="the API's pods' labels, for autoscalers")
    model: str | None = Field(
        None, max_length=64, description="the model's pods, ready/wanted; `external` where hosted elsewhere"
    )
    api: str | None = Field(None, max_length=64, description="the API's pods, ready/wanted")
    url: str | None = Field(None, max_length=2048, description="where clients ask, ending in `/v1`")
    targets: list[TargetState] = Field(
        default_factory=list,
        max_length=64,
        description="how each target is",
        json_schema_extra=MAP_BY_NAME,
    )
