"""Defines the kinds of children that a cluster may lack because their CRDs are not installed."""

from __future__ import annotations

from typing import Any

from rl_router_operator.objects.kinds import BY_NAME

OPTIONAL: dict[str, dict[str, Any]] = {
    "ServiceMonitor": {"monitoring": {"serviceMonitor": {"enabled": True}}},
    "HTTPRoute": {"api": {"auth": {"anonymous": True}, "httpRoute": {"parentRefs": [{"name": "gateway"}]}}},
}
"""The kinds that a cluster may lack, each with the spec of a RouterDeployment that needs a child of that kind."""
RARELY_USED = {**OPTIONAL, "HorizontalPodAutoscaler": {"api": {"autoscaling": {"maxReplicas": 4}}}}
"""The kinds of OPTIONAL, and HorizontalPodAutoscaler, each with a spec that needs a child of that kind.

The spec FULL_SPEC in `routers.py` needs no child of these kinds.
"""


_ANY: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def old_crd_of(kind: str, field: str) -> dict[str, Any]:
    """Returns an old version of the CRD of an optional kind. In the old version, `spec` has only the field `field`."""
    spec = {"type": "object", "properties": {field: {"x-kubernetes-preserve-unknown-fields": True}}}
    return crd_of(kind, {"type": "object", "properties": {"spec": spec}})


def crd_of(kind: str, root: dict[str, Any] = _ANY) -> dict[str, Any]:
    """Returns a CRD for an optional kind. By default, the CRD accepts objects with any fields."""
    known = BY_NAME[kind]
    group, version = known.api_version.split("/")
    schema = {"openAPIV3Schema": root}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{known.plural}.{group}",
            # The API server requires this annotation for groups under k8s.io.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": known.plural, "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }
