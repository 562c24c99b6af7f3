"""kubectl and an autoscaler can set the number of API pods, and the operator does not reset the number."""

from __future__ import annotations

import pytest
from cluster import Cluster, Namespace, eventually
from in_cluster_client import Client
from objects import router, serving, target
from release import Release

METRICS = "v1beta1.metrics.k8s.io"
SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}}


def test_kubectl_scales_a_router(operator: Release, namespace: Namespace) -> None:
    namespace.apply(router("demo"))
    namespace.wait_until_ready("demo")
    namespace.kubectl("scale", "rd/demo", "--replicas=2")
    eventually(lambda: namespace.get("rd", "demo")["status"]["api"] == "2/2", within=120)


def test_an_autoscaler_scales_out_under_load_and_the_operator_keeps_its_replicas(
    operator: Release, cluster: Cluster, namespace: Namespace, client: Client
) -> None:
    _require_metrics(cluster)
    api = {"resources": SMALL, "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPU": 20}}
    namespace.apply(*serving("physics"), router("demo", api=api, targets=[target("physics")]))
    namespace.wait_until_ready("demo")
    with client.load("demo", *["physics"] * 8) as result:
        eventually(lambda: len(namespace.pods("demo", "api")) == 2, within=300)
        namespace.kubectl("rollout", "status", "deployment/demo-api", "--timeout=120s")
        namespace.apply(router("demo", api=api, targets=[target("physics")], labels={"touched": "true"}))
        eventually(lambda: namespace.get("deployment", "demo-api")["metadata"]["labels"].get("touched"), within=30)
        assert namespace.get("deployment", "demo-api")["spec"]["replicas"] == 2
    assert result["failures"] == []


def _require_metrics(cluster: Cluster) -> None:
    """Waits for the first metrics, because a new metrics-server has no metrics for half a minute."""
    if not cluster.kubectl("get", "apiservice", METRICS, "--ignore-not-found"):
        pytest.skip("the cluster has no metrics: install metrics-server")
    cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{METRICS}", "--timeout=100s")
