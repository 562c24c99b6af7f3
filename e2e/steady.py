"""Steady load on a router, under which nothing that is done to its API costs a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asking import Client
from cluster import Cluster, Namespace, eventually
from objects import client as client_pod
from objects import router, serving, target

SPEC: dict[str, Any] = {
    "api": {"replicas": 2},
    "targets": [target("physics"), target("poetry")],
    "routing": {"timeout": 60, "maxTurns": 1},
}


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


def until_replaced(namespace: Namespace, uids: set[str]) -> None:
    """Waits until pods of the API are gone and others serve."""
    eventually(lambda: not uids & set(namespace.pods("demo", "api")), within=240)
    namespace.kubectl("rollout", "status", "deployment/demo-api", "--timeout=240s", timeout=260)
