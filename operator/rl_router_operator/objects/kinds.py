"""Defines kinds of Kubernetes objects that the operator creates or reads."""

from __future__ import annotations

from dataclasses import dataclass

from ..schema import GROUP, KIND, PLURAL, VERSION


@dataclass(frozen=True)
class Kind:
    """A kind of Kubernetes object, with the API version, the name and the plural name of the kind.

    If `optional` is true, the cluster may lack the kind.
    """

    api_version: str
    kind: str
    plural: str
    optional: bool = False


KINDS = (
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Service", "services"),
    Kind("apps/v1", "StatefulSet", "statefulsets"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses"),
    Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", optional=True),
    Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors", optional=True),
)
"""The kinds of children in the order in which the operator creates the children.

Each child is created before the children that refer to the child.
"""

POD = Kind("v1", "Pod", "pods")
PVC = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
"""The operator does not create pods or PersistentVolumeClaims (PVCs).

The operator only reads pods, and only reads and patches PVCs.
"""

LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

ROUTER = Kind(f"{GROUP}/{VERSION}", KIND, PLURAL)

BY_NAME = {kind.kind: kind for kind in (*KINDS, POD, PVC)}
