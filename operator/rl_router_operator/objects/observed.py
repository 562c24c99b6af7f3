"""Defines the observed state of one RouterDeployment. The operator computes the status from the observed state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rl_router_api.health import HealthDocument

from .manifest import Manifest, Ref

ChildErrorReason = Literal[
    "ForeignObject",  # an object that does not belong to the RouterDeployment has a child's name
    "Refused",  # the API server or an admission webhook rejected a child; the message quotes the error
    "Immutable",  # the API server cannot change a field of an existing child; the message names the field
    "KindMissing",  # the cluster does not have the kind
    "Forbidden",  # the operator lacks a permission; the message names the verb
    "FieldUnsupported",  # a field was rejected as unknown or was not kept; the message names the field
    "ControllerMissing",  # no controller has processed the last change of a child
    "DeletionStuck",  # the deletion of an object does not end; the message names the finalizers
    "RolloutPaused",  # somebody has paused the Deployment of the API
    "VolumeNotShrunk",  # a PVC is larger than the spec requests
    "VolumeNotChanged",  # a PVC has another StorageClass or other access modes than the spec
    "Failed",  # any other error of the API server
]


@dataclass(frozen=True)
class ChildError:
    """An error about an object of a RouterDeployment, or about a kind that the operator cannot watch.

    The attribute `message` explains the error to users. The attribute `name` is empty if the error is about all objects
    of the kind `kind`.
    """

    kind: str
    name: str
    reason: ChildErrorReason
    message: str


@dataclass(frozen=True)
class Health:
    """The result of a probe of an API pod: the document that the endpoint /health returned, or an error.

    If the probe failed, the attribute `document` is None and the attribute `error` is the reason for the failure.
    """

    document: HealthDocument | None
    error: str | None = None


@dataclass(frozen=True)
class Observed:
    """The observed state of one RouterDeployment: objects, the health of API pods, and errors.

    The attribute `children` maps the kind and the name of each child to the manifest of the child. The attribute `pods`
    contains the model pods and the API pods. The attribute `pvcs` contains the PersistentVolumeClaims (PVCs) with the
    router's label, such as the PVCs of the model pods. The attribute `events` contains the Warning Events about
    children, pods and PVCs. The attribute `healths` maps the name of each API pod with a confirmed health to this
    health. The attribute `errors` contains the errors about children and PVCs, and about kinds that the operator cannot
    watch.
    """

    children: Mapping[Ref, Manifest] = field(default_factory=dict)
    pods: tuple[Manifest, ...] = ()
    pvcs: tuple[Manifest, ...] = ()
    events: tuple[Manifest, ...] = ()
    healths: Mapping[str, Health] = field(default_factory=dict)
    errors: tuple[ChildError, ...] = ()
