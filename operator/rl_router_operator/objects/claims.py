"""Reads claims. A claim is a Lease by which a release of the operator claims a namespace or the whole cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..schema import GROUP
from .manifest import Manifest

CLAIM_NAMES = ("rl-router-scope", "rl-router-scope-2")
"""The two names that a claim can have.

A Lease that claims the cluster and a Lease that claims one namespace can be in the same namespace. If a namespace
contains two claims, the claim that was created later has the second name in CLAIM_NAMES. For example, a namespace
contains two claims if a cluster-wide operator runs in the namespace and another operator watches only this namespace.
"""
SCOPE_LABEL = f"{GROUP}/scope"
CLUSTER, NAMESPACE = "cluster", "namespace"
"""The values of the label SCOPE_LABEL of a Lease.

The value `cluster` means that the Lease claims the whole cluster. The value `namespace` means that the Lease claims
only the namespace in which the Lease is.
"""
ALL_NAMESPACES = "*"


@dataclass(frozen=True)
class Claim:
    """A claim of a namespace or of the whole cluster, as read from the API server.

    The attribute `holder` is the namespace and the name of the release that holds the claim. The attribute `holder` is
    empty if no release holds the claim.
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
    """Converts the manifest of a Lease to a claim."""
    metadata, spec = lease["metadata"], lease.get("spec") or {}
    return Claim(
        holder=str(spec.get("holderIdentity") or ""),
        namespace=metadata["namespace"],
        is_cluster_wide=is_cluster_wide(lease),
        created=str(metadata.get("creationTimestamp") or ""),
        uid=str(metadata.get("uid") or ""),
    )


def acting_operators(claims: Iterable[Claim]) -> dict[str, str]:
    """Returns a mapping from each claimed namespace to the operator that acts in the namespace.

    The key ALL_NAMESPACES stands for the namespaces that no operator claims individually. A claim of a namespace takes
    precedence over a claim of the cluster. Of two held claims with the same scope, the older claim takes precedence.
    """
    newest_first = sorted(claims, key=lambda claim: (claim.created, claim.uid), reverse=True)
    return {
        ALL_NAMESPACES if claim.is_cluster_wide else claim.namespace: claim.holder
        for claim in newest_first
        if claim.holder
    }


def operator_in(namespace: str, acting: dict[str, str]) -> str:
    """Returns the operator that acts in a namespace, or an empty string if no operator acts in the namespace.

    The parameter `acting` is the result of the function `acting_operators`.
    """
    return acting.get(namespace) or acting.get(ALL_NAMESPACES, "")
