"""What an uninstallation leaves: the definition, kept storage, and routers that the chart did not make."""

from __future__ import annotations

import pytest
from asking import Client
from cluster import Cluster, Namespace, eventually
from images import NO_IMAGE
from objects import router
from release import NEVER, Release

KINDS = (
    "statefulset", "deployment", "service", "configmap", "networkpolicy", "poddisruptionbudget", "serviceaccount",
    "pod", "lease", "job",
)  # fmt: skip


def test_a_router_that_the_chart_did_not_make_runs_on(operator: Release, namespace: Namespace, client: Client) -> None:
    namespace.apply(router("demo"))
    namespace.until_ready("demo")
    operator.uninstall()
    assert client.ask("demo")["status"] == 200
    namespace.kubectl("delete", "rd", "demo", "--timeout=60s")
    eventually(lambda: not namespace.all(*KINDS, selector="rlrouter.dev/router=demo"), within=180)


def test_what_the_chart_made_is_gone_but_for_what_is_documented(operator: Release, cluster: Cluster) -> None:
    # Only weights from a hub are kept; they need not come for the claim to be there.
    model = {
        "source": "hf://org/name",
        "image": NO_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "storage": {"size": "1Gi"},
    }
    operator.install({**NEVER, "routerDeployment": {"create": True, "spec": {"model": model}}})
    eventually(lambda: operator.namespace.get("pvc", "weights-router-model-0"), within=120)
    eventually(lambda: operator.namespace.pods("router", "api"), within=120)
    operator.uninstall()
    documented = {"PersistentVolumeClaim/weights-router-model-0", "Lease/rl-router-operator"}
    eventually(lambda: _left(operator.namespace) == documented, within=180)
    assert _cluster_wide(cluster) == {"customresourcedefinition/routerdeployments.rlrouter.dev"}
    operator.namespace.kubectl("delete", "pvc", "weights-router-model-0")


@pytest.mark.parametrize("router_first", [True, False])
def test_router_and_operator_may_go_in_any_order(operator: Release, namespace: Namespace, router_first: bool) -> None:
    namespace.apply(router("demo"))
    eventually(lambda: namespace.pods("demo", "api") and namespace.pods("demo", "model"), within=60)
    steps = [lambda: namespace.kubectl("delete", "rd", "demo", "--timeout=60s"), operator.uninstall]
    for step in steps if router_first else reversed(steps):
        step()
    eventually(lambda: not namespace.all(*KINDS, selector="rlrouter.dev/router=demo"), within=180)


def _left(namespace: Namespace) -> set[str]:
    found = namespace.all(*KINDS, "pvc", "secret")
    names = {f"{each['kind']}/{each['metadata']['name']}" for each in found}
    kubernetes_own = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
    return names - kubernetes_own


def _cluster_wide(cluster: Cluster) -> set[str]:
    kinds = "clusterrole,clusterrolebinding,crd,mutatingwebhookconfigurations,validatingwebhookconfigurations"
    names = cluster.kubectl("get", kinds, "--output", "name").split()
    found = {name for name in names if "rl-router" in name or "rlrouter" in name}
    return {name.replace(".apiextensions.k8s.io/", "/").replace(".rbac.authorization.k8s.io/", "/") for name in found}
