"""Sends steady load to a router and checks that no request fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster import Cluster, Namespace, eventually
from in_cluster_client import Client
from objects import client as client_pod
from objects import router, serving, target

SPEC: dict[str, Any] = {
    "api": {"replicas": 2},
    "targets": [target("physics"), target("poetry")],
    "routing": {"timeout": 60, "maxTurns": 1},
}


@contextmanager
def steady_load(cluster: Cluster, namespace: Namespace) -> Iterator[None]:
    """Sends load to a router with two API pods until the block ends, and checks that no request failed.

    The two targets and the client run on the first node.
    """
    node = cluster.nodes[0]
    namespace.apply(*serving("physics", node=node), *serving("poetry", node=node), client_pod(node=node))
    namespace.apply(router("demo", **SPEC))
    namespace.wait_until_ready("demo")
    eventually(lambda: len(namespace.pods("demo", "api")) == 2, within=120)
    namespace.kubectl("rollout", "status", "deployment/demo-api", "--timeout=120s")
    namespace.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
    client = Client(namespace)
    with client.load("demo", "physics", "poetry", "physics", "router") as result:
        yield
        client.wait_for_answers(20)
    assert result["failures"] == []


def wait_until_replaced(namespace: Namespace, uids: set[str]) -> None:
    """Waits until the API pods with these uids are deleted and their replacements serve."""
    eventually(lambda: not uids & set(namespace.pods("demo", "api")), within=240)
    namespace.kubectl("rollout", "status", "deployment/demo-api", "--timeout=240s", timeout=260)
