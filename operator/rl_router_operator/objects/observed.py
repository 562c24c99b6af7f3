"""What is observed of one RouterDeployment in the cluster: everything that its status is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rl_router_api.health import HealthDocument

from .manifest import Manifest, Ref

ProblemReason = Literal[
    "ForeignObject",  # an object that is not ours has a child's name
    "Refused",  # the API server, or an admission, refused a child; the message has its words
    "KindMissing",  # the cluster lacks the kind
    "Forbidden",  # the operator may not do it; the message names the verb
    "Failed",  # anything else that the API server said
]


@dataclass(frozen=True)
class Problem:
    """Why the child `kind`/`name` is not as the spec asks; the message is a sentence for a person."""

    kind: str
    name: str
    reason: ProblemReason
    message: str


@dataclass(frozen=True)
class Health:
    """What an API pod's admin port said; `answer` is None if it could not be had, and `trouble` says why."""

    answer: HealthDocument | None
    trouble: str | None = None


@dataclass(frozen=True)
class Observed:
    """The children by kind and name, the pods of both tiers, the claims of the model's pods, the warnings about any of
    them (core Events), what the API's pods say by pod name, and what could not be done."""

    children: Mapping[Ref, Manifest] = field(default_factory=dict)
    pods: tuple[Manifest, ...] = ()
    claims: tuple[Manifest, ...] = ()
    events: tuple[Manifest, ...] = ()
    healths: Mapping[str, Health] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
