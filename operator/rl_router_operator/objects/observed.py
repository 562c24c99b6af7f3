"""What is observed of one RouterDeployment in the cluster: everything that its status is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rl_router_api.health import HealthDocument

from .manifest import Manifest, Ref

ChildErrorReason = Literal[
    "ForeignObject",  # an object that the operator did not create has a child's name
    "Refused",  # the API server or an admission webhook rejected a child; the message quotes it
    "KindMissing",  # the cluster does not have the kind
    "Forbidden",  # the operator lacks a permission; the message names the verb
    "Failed",  # any other error of the API server
]


@dataclass(frozen=True)
class ChildError:
    """Why the child `kind`/`name` does not match the spec; the message is a sentence for a person.

    The name is empty if the error is about the whole kind.
    """

    kind: str
    name: str
    reason: ChildErrorReason
    message: str


@dataclass(frozen=True)
class Health:
    """The /health document of an API pod; `document` is None if the probe failed, and `error` is the reason."""

    document: HealthDocument | None
    error: str | None = None


@dataclass(frozen=True)
class Observed:
    """The children by kind and name, the pods of both tiers, the PVCs of the model's pods, the warnings about any of
    them (core Events), the health of the API pods by pod name, and the errors about children."""

    children: Mapping[Ref, Manifest] = field(default_factory=dict)
    pods: tuple[Manifest, ...] = ()
    pvcs: tuple[Manifest, ...] = ()
    events: tuple[Manifest, ...] = ()
    healths: Mapping[str, Health] = field(default_factory=dict)
    errors: tuple[ChildError, ...] = ()
