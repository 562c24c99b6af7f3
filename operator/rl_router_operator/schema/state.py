"""Defines the status of a RouterDeployment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from rl_router_api.config import Schema
from rl_router_api.health import UpstreamState

from .base import MAP_BY_NAME

Ready = Literal["True", "False", "Unknown"]


class Condition(Schema):
    """A condition of a RouterDeployment in the standard format of Kubernetes."""

    type: str = Field(
        max_length=64, description="name of the condition: ModelReady, APIReady, TargetsReady, Ready or Degraded"
    )
    status: Ready = Field(description="whether the condition applies: True, False or Unknown")
    reason: str = Field(
        max_length=128,
        description="reason for `status`, as one word that alerts can match, because the word is the same in all"
        " versions of the operator",
    )
    message: str = Field(
        "",
        max_length=4096,
        description="human-readable explanation of `status`, with a remedy unless `reason` names a healthy state",
    )
    observed_generation: int = Field(0, ge=0, description="generation of the spec that the condition describes")
    last_transition_time: str = Field(
        max_length=32, description="time of the last change of `status`", json_schema_extra={"format": "date-time"}
    )


class TargetState(Schema):
    """The state of a target according to the reports of the API pods."""

    name: str = Field(max_length=128, description="name of the target")
    state: UpstreamState = Field(
        description="state of the target: `ok`, `bad`, or `unknown` if no API pod reports the state `ok` or `bad`"
    )
    reason: str | None = Field(None, max_length=512, description="reason why the state of the target is `bad`")


class RouterDeploymentStatus(Schema):
    """The state of the router that a RouterDeployment describes."""

    observed_generation: int = Field(0, ge=0, description="generation of the spec that this status describes")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="the router's conditions, which are ModelReady, APIReady, TargetsReady, Ready and Degraded",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    replicas: int = Field(0, ge=0, description="number of API pods")
    selector: str = Field("", max_length=1024, description="label selector by which autoscalers find the API pods")
    model: str | None = Field(
        None,
        max_length=64,
        description="numbers of ready and desired model pods, such as `1/2`, or `external` if the router model is"
        " external",
    )
    api: str | None = Field(None, max_length=64, description="numbers of ready and desired API pods, such as `1/2`")
    operator: str | None = Field(
        None,
        max_length=512,
        description="namespace and release name of the operator that reconciles the RouterDeployment, such as"
        " `rl-router-system/rl-router`",
    )
    url: str | None = Field(
        None, max_length=2048, description="URL that clients use to send requests to the router API, including `/v1`"
    )
    targets: list[TargetState] = Field(
        default_factory=list,
        max_length=64,
        description="state of each target",
        json_schema_extra=MAP_BY_NAME,
    )
