"""Builds objects that do not belong to the operator, but have the name of a child that the operator would create."""

from __future__ import annotations

import copy
from typing import Any

from .kube_client import Kube

_POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
_BODIES: dict[str, dict[str, Any]] = {
    "ServiceAccount": {},
    "ConfigMap": {"data": {"mine": "yes"}},
    "Service": {"spec": {"ports": [{"port": 1}]}},
    "StatefulSet": {"spec": {"serviceName": "x", "selector": {"matchLabels": {"a": "b"}}, "template": _POD}},
    "Deployment": {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": _POD}},
    "PodDisruptionBudget": {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "HorizontalPodAutoscaler": {
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}
    },
    "Ingress": {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 1}}}}},
}


def foreign_object(kube: Kube, kind: str, name: str) -> dict[str, Any]:
    """Returns the manifest of an object of the kind `kind` that has the name `name` and no owner."""
    body = copy.deepcopy(_BODIES[kind])
    return {"apiVersion": kube.api_version(kind), "kind": kind, "metadata": {"name": name}, **body}
