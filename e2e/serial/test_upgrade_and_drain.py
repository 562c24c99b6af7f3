"""An upgrade of the chart or a drained node fails no request under steady load."""

from __future__ import annotations

from typing import Any

import pytest
from cluster import Cluster, Namespace
from images import API, MODEL
from release import DEFAULT, Release
from steady_load import steady_load, wait_until_replaced


def test_an_upgrade_of_the_chart_fails_no_request_and_restarts_no_model(
    operator: Release, cluster: Cluster, namespace: Namespace
) -> None:
    with steady_load(cluster, namespace):
        models, before = set(namespace.pods("demo", "model")), set(namespace.pods("demo", "api"))
        # These are longer names of the same images.
        images = {"api": f"docker.io/{API}", "model": f"docker.io/{MODEL}"}
        operator.install({**DEFAULT, "routers": {"imagePullPolicy": "Never", "images": images}})
        wait_until_replaced(namespace, before)
        assert set(namespace.pods("demo", "model")) == models


def test_a_drained_node_fails_no_request(operator: Release, cluster: Cluster, namespace: Namespace) -> None:
    if len(cluster.nodes) < 2:
        pytest.skip("the cluster has one node: the test requires two")
    with steady_load(cluster, namespace):
        movable = {uid: pod for uid, pod in namespace.pods("demo", "api").items() if _node(pod) != cluster.nodes[0]}
        assert movable, "all API pods are on the node of the targets"
        node = _node(next(iter(movable.values())))
        try:
            cluster.kubectl(
                "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s", timeout=200
            )  # fmt: skip
            wait_until_replaced(namespace, set(movable))
        finally:
            cluster.kubectl("uncordon", node)


def _node(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["nodeName"])
