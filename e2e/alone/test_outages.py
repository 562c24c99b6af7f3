"""The operator or the API server is away: nothing that runs is touched, and what was missed is made good."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asking import Client
from cluster import Cluster, CommandError, Namespace, eventually, run
from objects import router
from release import NAMESPACE, NEVER, Release

CHILDREN = ("statefulset", "deployment", "service", "configmap", "networkpolicy")
OURS = "rlrouter.dev/router=demo"


def test_a_killed_operators_successor_touches_nothing_and_repairs_what_was_missed(
    operator: Release, namespace: Namespace
) -> None:
    _survives(namespace, lambda: _kill(operator))


def test_another_version_of_the_operator_touches_nothing(operator: Release, namespace: Namespace) -> None:
    _survives(namespace, lambda: operator.install({**NEVER, "podLabels": {"another": "one"}, "replicaCount": 2}))


def test_a_restarted_api_server_costs_nothing(
    operator: Release, cluster: Cluster, namespace: Namespace, client: Client
) -> None:
    before = operator.namespace.all("pod", selector="app.kubernetes.io/component=operator")
    _survives(namespace, lambda: _restart_api_server(cluster))
    assert client.ask("demo")["status"] == 200
    after = operator.namespace.all("pod", selector="app.kubernetes.io/component=operator")
    restarts = [each["status"]["containerStatuses"][0]["restartCount"] for each in (*before, *after)]
    assert restarts == [0] * len(restarts), "the operator did not sit it out"


def _survives(namespace: Namespace, outage: Callable[[], object]) -> None:
    """Children are as they were after the outage, and one that is deleted during it is back."""
    namespace.apply(router("demo"))
    namespace.until_ready("demo")
    before = _generations(namespace)
    outage()
    eventually(lambda: _generations(namespace) == before, within=120)
    namespace.kubectl("delete", "configmap", "demo-api")
    eventually(lambda: namespace.get("configmap", "demo-api"), within=60)
    namespace.until_ready("demo")


def _generations(namespace: Namespace) -> dict[tuple[str, str], tuple[str, int | None]]:
    """uid and generation of every child by kind and name."""
    return {
        (each["kind"], each["metadata"]["name"]): (each["metadata"]["uid"], each["metadata"].get("generation"))
        for each in namespace.all(*CHILDREN, selector=OURS)
    }


def _kill(operator: Release) -> None:
    operator.namespace.kubectl(
        "delete", "pods", "--selector=app.kubernetes.io/component=operator", "--grace-period=0", "--force"
    )  # fmt: skip
    operator.cluster.kubectl("--namespace", NAMESPACE, "rollout", "status", "deployment/rl-router", "--timeout=120s")


def _restart_api_server(cluster: Cluster) -> None:
    context = cluster.kubectl("config", "current-context").strip()
    if not context.startswith("kind-"):
        pytest.skip("only kind's API server is restarted")
    node = f"{context.removeprefix('kind-')}-control-plane"
    run("docker", "exec", node, "sh", "-c", "kill -9 $(pidof kube-apiserver)")
    eventually(lambda: _serves(cluster), within=180)


def _serves(cluster: Cluster) -> bool:
    try:
        return cluster.kubectl("get", "--raw", "/readyz", timeout=20) == "ok"
    except CommandError:
        return False
