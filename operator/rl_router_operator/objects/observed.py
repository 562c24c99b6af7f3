"""The observed state of one RouterDeployment, from which its status is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rl_router_api.health import HealthDocument

from .manifest import Manifest, Ref

ChildErrorReason = Literal[
    "ForeignObject",  # an object that the operator did not create has a child's name
    "Refused",  # the API server or an admission webhook rejected a child; the message quotes the error
    "KindMissing",  # the cluster does not have the kind
    "Forbidden",  # the operator lacks a permission; the message names the verb
    "FieldUnsupported",  # the API server or an admission webhook did not keep a field; the message names the field
    "ControllerMissing",  # no controller has processed the last change of a child
    "VolumeNotShrunk",  # a PVC is larger than the spec requests
    "Failed",  # any other error of the API server
]


@dataclass(frozen=True)
class ChildError:
    """The reason why a child object does not match the spec. `message` is a human-readable sentence.

    `name` is empty if the error is about all objects of the kind.
    """

    kind: str
    name: str
    reason: ChildErrorReason
    message: str


@dataclass(frozen=True)
class Health:
    """The /health document of an API pod. If the probe failed, `document` is None and `error` is the reason."""

    document: HealthDocument | None
    error: str | None = None


@dataclass(frozen=True)
class Observed:
    """The observed objects of one RouterDeployment.

    `children` has the children by kind and name. `pods` has the pods of both tiers, and `pvcs` the PVCs of the model
    pods. `events` has the Warning Events about these objects. `healths` has the health of the API pods by pod name.
    `errors` are about children.
    """

    children: Mapping[Ref, Manifest] = field(default_factory=dict)
    pods: tuple[Manifest, ...] = ()
    pvcs: tuple[Manifest, ...] = ()
    events: tuple[Manifest, ...] = ()
    healths: Mapping[str, Health] = field(default_factory=dict)
    errors: tuple[ChildError, ...] = ()
