"""Claims: Leases by which operators of several releases agree on which of them acts in a namespace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..schema import GROUP
from .manifest import Manifest

CLAIM_NAMES = ("rl-router-scope", "rl-router-scope-2")
"""The names of claims. The second name is for a claim whose first name is taken by a claim of the other scope: the
namespace of a cluster-wide operator may be among the watched namespaces of another operator."""
SCOPE_LABEL = f"{GROUP}/scope"
CLUSTER, NAMESPACE = "cluster", "namespace"
"""The values of the label: whether the operator claims the cluster or the namespace of the Lease."""
ALL_NAMESPACES = "*"


@dataclass(frozen=True)
class Claim:
    """A claim that has not expired. `holder` is the namespace and name of the operator's release."""

    holder: str
    namespace: str
    is_cluster_wide: bool
    created: str
    uid: str


def is_cluster_wide(lease: Manifest) -> bool:
    """Returns whether a Lease claims the whole cluster, and not only its own namespace."""
    return (lease["metadata"].get("labels") or {}).get(SCOPE_LABEL) == CLUSTER


def read_claim(lease: Manifest) -> Claim:
    """Returns the claim of a Lease."""
    metadata, spec = lease["metadata"], lease.get("spec") or {}
    return Claim(
        holder=str(spec.get("holderIdentity") or ""),
        namespace=metadata["namespace"],
        is_cluster_wide=is_cluster_wide(lease),
        created=str(metadata.get("creationTimestamp") or ""),
        uid=str(metadata.get("uid") or ""),
    )


def acting_operators(claims: Iterable[Claim]) -> dict[str, str]:
    """Returns the operator that acts in each claimed namespace, and in all other namespaces as `ALL_NAMESPACES`.

    A claim of a namespace takes precedence over a claim of the cluster. Of two claims of the same scope, the older one
    counts.
    """
    newest_first = sorted(claims, key=lambda claim: (claim.created, claim.uid), reverse=True)
    return {
        ALL_NAMESPACES if claim.is_cluster_wide else claim.namespace: claim.holder
        for claim in newest_first
        if claim.holder
    }


def operator_in(namespace: str, acting: dict[str, str]) -> str:
    """Returns the operator that acts in a namespace, from the result of `acting_operators`; empty without one."""
    return acting.get(namespace) or acting.get(ALL_NAMESPACES, "")
