"""Two releases of the chart: the release for a namespace acts there instead of the cluster-wide release."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import release
from cluster import Namespace, eventually
from objects import router
from release import CHART, DEFAULT, Release

SECOND = "second"
TAKEOVER = 75
"""The maximum seconds until another operator takes over, from docs/kubernetes.md."""


@pytest.fixture
def second(namespace: Namespace) -> Iterator[Namespace]:
    """Yields the test's namespace, in which a second release may be installed.

    Uninstalls the second release at the end.
    """
    yield namespace
    _uninstall(namespace)


def test_two_releases_never_act_on_the_same_router(operator: Release, second: Namespace) -> None:
    second.apply(router("demo"))
    second.wait_until_ready("demo")
    cluster_wide, namespaced = f"{release.NAMESPACE}/{release.NAME}", f"{second.name}/{SECOND}"
    assert _operator(second) == cluster_wide
    pods = {**second.pods("demo", "api"), **second.pods("demo", "model")}

    values = {**DEFAULT, "watchNamespaces": [second.name], "rbac": {"aggregateClusterRoles": False}}
    arguments = ("--namespace", second.name, "--wait", "--timeout", "3m")
    second.cluster.helm("install", SECOND, CHART, *arguments, values=values)
    eventually(lambda: _operator(second) == namespaced, within=TAKEOVER)
    assert f"RouterDeployments in the namespace to the operator {namespaced}" in operator.namespace.kubectl(
        "logs", "--selector=app.kubernetes.io/component=operator", "--tail=-1"
    )  # fmt: skip
    second.kubectl("delete", "configmap", "demo-api")
    eventually(lambda: second.get("configmap", "demo-api"), within=10)

    _uninstall(second)
    eventually(lambda: _operator(second) == cluster_wide, within=TAKEOVER)
    second.wait_until_ready("demo")
    assert {**second.pods("demo", "api"), **second.pods("demo", "model")}.keys() == pods.keys()


def _operator(namespace: Namespace) -> str:
    return str(namespace.get("rd", "demo")["status"]["operator"])


def _uninstall(namespace: Namespace) -> None:
    arguments = ("--namespace", namespace.name, "--ignore-not-found", "--wait", "--timeout", "2m")
    namespace.cluster.helm("uninstall", SECOND, *arguments)
