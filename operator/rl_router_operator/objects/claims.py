"""Reads claims, which are Leases by which several releases agree on the release that acts in a namespace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..schema import GROUP
from .manifest import Manifest

CLAIM_NAMES = ("rl-router-scope", "rl-router-scope-2")
"""The two possible names of the Lease of a claim.

A claim gets the second name if a claim of the other scope in its namespace has the first name. For example, a
namespace has two claims if a cluster-wide operator runs there and another operator watches only this namespace.
"""
SCOPE_LABEL = f"{GROUP}/scope"
CLUSTER, NAMESPACE = "cluster", "namespace"
"""The values of the label SCOPE_LABEL: the Lease claims the whole cluster, or only the namespace of the Lease."""
ALL_NAMESPACES = "*"


@dataclass(frozen=True)
class Claim:
    """An operator's claim of a namespace or of the whole cluster, if the claim has not expired.

    The attribute `holder` is the namespace and the name of the release that holds the claim.
    """

    holder: str
    namespace: str
    is_cluster_wide: bool
    created: str
    uid: str


def is_cluster_wide(lease: Manifest) -> bool:
    """Returns whether a Lease claims the whole cluster instead of only the namespace of the Lease."""
    return (lease["metadata"].get("labels") or {}).get(SCOPE_LABEL) == CLUSTER


def read_claim(lease: Manifest) -> Claim:
    """Returns the claim that a Lease represents."""
    metadata, spec = lease["metadata"], lease.get("spec") or {}
    return Claim(
        holder=str(spec.get("holderIdentity") or ""),
        namespace=metadata["namespace"],
        is_cluster_wide=is_cluster_wide(lease),
        created=str(metadata.get("creationTimestamp") or ""),
        uid=str(metadata.get("uid") or ""),
    )


def acting_operators(claims: Iterable[Claim]) -> dict[str, str]:
    """Returns the operator that acts in each claimed namespace; ALL_NAMESPACES stands for all other namespaces.

    A claim of a namespace takes precedence over a claim of the cluster. If two claims have the same
    scope, the older claim takes precedence.
    """
    newest_first = sorted(claims, key=lambda claim: (claim.created, claim.uid), reverse=True)
    return {
        ALL_NAMESPACES if claim.is_cluster_wide else claim.namespace: claim.holder
        for claim in newest_first
        if claim.holder
    }


def operator_in(namespace: str, acting: dict[str, str]) -> str:
    """Returns the operator that acts in a namespace according to `acting`; an empty string if none acts there."""
    return acting.get(namespace) or acting.get(ALL_NAMESPACES, "")
