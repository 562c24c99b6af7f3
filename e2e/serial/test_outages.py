"""An outage of the operator or of the API server changes no children. Then the operator repairs missed changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cluster import Cluster, CommandError, Namespace, eventually, run
from in_cluster_client import Client
from objects import router
from release import DEFAULT, NAMESPACE, Release

CHILDREN = ("statefulset", "deployment", "service", "configmap", "networkpolicy")
SELECTOR = "rlrouter.dev/router=demo"


def test_the_successor_of_a_killed_operator_changes_no_children_and_repairs_deleted_ones(
    operator: Release, namespace: Namespace
) -> None:
    _assert_unchanged(namespace, lambda: _kill(operator))


def test_an_upgrade_of_the_operator_changes_no_children(operator: Release, namespace: Namespace) -> None:
    _assert_unchanged(
        namespace, lambda: operator.install({**DEFAULT, "podLabels": {"another": "one"}, "replicaCount": 2})
    )


def test_a_restart_of_the_api_server_restarts_no_operator_and_changes_no_children(
    operator: Release, cluster: Cluster, namespace: Namespace, client: Client
) -> None:
    before = operator.namespace.all("pod", selector="app.kubernetes.io/component=operator")
    _assert_unchanged(namespace, lambda: _restart_api_server(cluster))
    assert client.request("demo")["status"] == 200
    after = operator.namespace.all("pod", selector="app.kubernetes.io/component=operator")
    restarts = [pod["status"]["containerStatuses"][0]["restartCount"] for pod in (*before, *after)]
    assert restarts == [0] * len(restarts), "the operator restarted"


def _assert_unchanged(namespace: Namespace, outage: Callable[[], object]) -> None:
    """Fails if the outage changes a child, or if the operator does not restore a child that is deleted afterwards."""
    namespace.apply(router("demo"))
    namespace.wait_until_ready("demo")
    before = _generations(namespace)
    outage()
    eventually(lambda: _generations(namespace) == before, within=120)
    namespace.kubectl("delete", "configmap", "demo-api")
    eventually(lambda: namespace.get("configmap", "demo-api"), within=60)
    namespace.wait_until_ready("demo")


def _generations(namespace: Namespace) -> dict[tuple[str, str], tuple[str, int | None]]:
    """Returns the uid and the generation of each child by its kind and name."""
    return {
        (child["kind"], child["metadata"]["name"]): (child["metadata"]["uid"], child["metadata"].get("generation"))
        for child in namespace.all(*CHILDREN, selector=SELECTOR)
    }


def _kill(operator: Release) -> None:
    operator.namespace.kubectl(
        "delete", "pods", "--selector=app.kubernetes.io/component=operator", "--grace-period=0", "--force"
    )  # fmt: skip
    operator.cluster.kubectl("--namespace", NAMESPACE, "rollout", "status", "deployment/rl-router", "--timeout=120s")


def _restart_api_server(cluster: Cluster) -> None:
    context = cluster.kubectl("config", "current-context").strip()
    if not context.startswith("kind-"):
        pytest.skip("the test can restart only kind's API server")
    node = f"{context.removeprefix('kind-')}-control-plane"
    run("docker", "exec", node, "sh", "-c", "kill -9 $(pidof kube-apiserver)")
    eventually(lambda: _serves(cluster), within=180)


def _serves(cluster: Cluster) -> bool:
    try:
        return cluster.kubectl("get", "--raw", "/readyz", timeout=20) == "ok"
    except CommandError:
        return False
