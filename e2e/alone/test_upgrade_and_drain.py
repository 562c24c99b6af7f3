"""Under steady load an upgrade of the chart and a drained node cost no request."""

from __future__ import annotations

from typing import Any

import pytest
from cluster import Cluster, Namespace
from images import API, MODEL
from release import NEVER, Release
from steady import steady_load, until_replaced


def test_an_upgraded_chart_fails_no_request_and_restarts_no_model(
    operator: Release, cluster: Cluster, namespace: Namespace
) -> None:
    with steady_load(cluster, namespace):
        models, before = set(namespace.pods("demo", "model")), set(namespace.pods("demo", "api"))
        # The same images by longer names.
        newer = {"api": f"docker.io/{API}", "model": f"docker.io/{MODEL}"}
        operator.install({**NEVER, "routers": {"imagePullPolicy": "Never", "images": newer}})
        until_replaced(namespace, before)
        assert set(namespace.pods("demo", "model")) == models


def test_a_drained_node_fails_no_request(operator: Release, cluster: Cluster, namespace: Namespace) -> None:
    if len(cluster.nodes) < 2:
        pytest.skip("a node to drain and another one are needed")
    with steady_load(cluster, namespace):
        on_it = {uid: pod for uid, pod in namespace.pods("demo", "api").items() if _node(pod) != cluster.nodes[0]}
        assert on_it, "no pod of the API is where the targets are not"
        node = _node(next(iter(on_it.values())))
        try:
            cluster.kubectl(
                "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s", timeout=200
            )  # fmt: skip
            until_replaced(namespace, set(on_it))
        finally:
            cluster.kubectl("uncordon", node)


def _node(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["nodeName"])
