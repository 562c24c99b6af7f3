"""Under steady load nothing that is done to the API costs a request: rolled, upgraded, killed, drained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asking import Client
from cluster import Cluster, Namespace, eventually
from images import API, MODEL
from objects import client as client_pod
from objects import router, serving, target
from release import NEVER, Release

SPEC: dict[str, Any] = {
    "api": {"replicas": 2},
    "targets": [target("physics"), target("poetry")],
    "routing": {"timeout": 60, "maxTurns": 1},
}
RENAMED = f"docker.io/{API}"
"""The same image by a longer name."""


def test_a_rolled_api_fails_no_request(operator: Release, cluster: Cluster, namespace: Namespace) -> None:
    with steady_load(cluster, namespace):
        before = set(namespace.pods("demo", "api"))
        namespace.apply(router("demo", **{**SPEC, "api": {"replicas": 2, "image": RENAMED}}))
        _until_replaced(namespace, before)


def test_a_deleted_pod_of_the_api_fails_no_request(operator: Release, cluster: Cluster, namespace: Namespace) -> None:
    with steady_load(cluster, namespace):
        pod = next(iter(namespace.pods("demo", "api").values()))
        namespace.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
        _until_replaced(namespace, {pod["metadata"]["uid"]})


def test_an_upgraded_chart_fails_no_request_and_restarts_no_model(
    operator: Release, cluster: Cluster, namespace: Namespace
) -> None:
    with steady_load(cluster, namespace):
        models, before = set(namespace.pods("demo", "model")), set(namespace.pods("demo", "api"))
        newer = {"api": RENAMED, "model": f"docker.io/{MODEL}"}
        operator.install({**NEVER, "routers": {"imagePullPolicy": "Never", "images": newer}})
        _until_replaced(namespace, before)
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
            _until_replaced(namespace, set(on_it))
        finally:
            cluster.kubectl("uncordon", node)


@contextmanager
def steady_load(cluster: Cluster, namespace: Namespace) -> Iterator[None]:
    """Two API pods in front of two targets, asked without a pause; targets and client are on the first node."""
    node = cluster.nodes[0]
    namespace.apply(*serving("physics", node=node), *serving("poetry", node=node), client_pod(node=node))
    namespace.apply(router("demo", **SPEC))
    namespace.until_ready("demo")
    eventually(lambda: len(namespace.pods("demo", "api")) == 2, within=120)
    namespace.kubectl("rollout", "status", "deployment/demo-api", "--timeout=120s")
    namespace.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
    client = Client(namespace)
    with client.load("demo", "physics", "poetry", "physics", "router") as found:
        yield
        client.until_asked(20)
    assert found["failures"] == []


def _until_replaced(namespace: Namespace, uids: set[str]) -> None:
    eventually(lambda: not uids & set(namespace.pods("demo", "api")), within=240)
    namespace.kubectl("rollout", "status", "deployment/demo-api", "--timeout=240s", timeout=260)


def _node(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["nodeName"])
