"""Who sets the number of the API's pods, and that nobody is fought over it."""

from __future__ import annotations

import pytest
from asking import Client
from cluster import Cluster, Namespace, eventually
from objects import router, serving, target
from release import Release

METRICS = "v1beta1.metrics.k8s.io"
SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}}


def test_kubectl_scales_a_router(operator: Release, namespace: Namespace) -> None:
    namespace.apply(router("demo"))
    namespace.until_ready("demo")
    namespace.kubectl("scale", "rd/demo", "--replicas=2")
    eventually(lambda: namespace.get("rd", "demo")["status"]["api"] == "2/2", within=120)


def test_an_autoscaler_scales_out_under_load_and_is_not_fought(
    operator: Release, cluster: Cluster, namespace: Namespace, client: Client
) -> None:
    _require_metrics(cluster)
    scaled = {"resources": SMALL, "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPU": 20}}
    namespace.apply(*serving("physics"), router("demo", api=scaled, targets=[target("physics")]))
    namespace.until_ready("demo")
    with client.load("demo", *["physics"] * 8) as found:
        eventually(lambda: len(namespace.pods("demo", "api")) == 2, within=300)
        namespace.kubectl("rollout", "status", "deployment/demo-api", "--timeout=120s")
        namespace.apply(router("demo", api=scaled, targets=[target("physics")], labels={"touched": "true"}))
        eventually(lambda: namespace.get("deployment", "demo-api")["metadata"]["labels"].get("touched"), within=30)
        assert namespace.get("deployment", "demo-api")["spec"]["replicas"] == 2
    assert found["failures"] == []


def _require_metrics(cluster: Cluster) -> None:
    """Waits for the first metrics, because a new metrics-server has none for half a minute."""
    if not cluster.kubectl("get", "apiservice", METRICS, "--ignore-not-found"):
        pytest.skip("the cluster has no metrics: an autoscaler needs metrics-server")
    cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{METRICS}", "--timeout=100s")
