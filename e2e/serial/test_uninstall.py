"""An uninstallation keeps the CRD, the retained volumes, and the routers that the chart did not create."""

from __future__ import annotations

import pytest
from cluster import Cluster, Namespace, eventually
from images import NO_IMAGE
from in_cluster_client import Client
from objects import router
from release import DEFAULT, Release

KINDS = (
    "statefulset", "deployment", "service", "configmap", "networkpolicy", "poddisruptionbudget", "serviceaccount",
    "pod", "lease", "job",
)  # fmt: skip


def test_a_router_that_the_chart_did_not_create_keeps_running(
    operator: Release, namespace: Namespace, client: Client
) -> None:
    namespace.apply(router("demo"))
    namespace.wait_until_ready("demo")
    operator.uninstall()
    assert client.request("demo")["status"] == 200
    namespace.kubectl("delete", "rd", "demo", "--timeout=60s")
    eventually(lambda: not namespace.all(*KINDS, selector="rlrouter.dev/router=demo"), within=180)


def test_an_uninstallation_leaves_only_the_documented_objects(operator: Release, cluster: Cluster) -> None:
    # The operator retains only the PVC for weights from a hub. The PVC exists even if the download fails.
    model = {
        "source": "hf://org/name",
        "image": NO_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "storage": {"size": "1Gi"},
    }
    operator.install({**DEFAULT, "routerDeployment": {"create": True, "spec": {"model": model}}})
    eventually(lambda: operator.namespace.get("pvc", "weights-router-model-0"), within=120)
    eventually(lambda: operator.namespace.pods("router", "api"), within=120)
    operator.uninstall()
    leases = {"Lease/rl-router-operator", "Lease/rl-router-scope"}
    documented = {"PersistentVolumeClaim/weights-router-model-0", *leases}
    eventually(lambda: _remaining(operator.namespace) == documented, within=180)
    assert _cluster_wide(cluster) == {"customresourcedefinition/routerdeployments.rlrouter.dev"}
    operator.namespace.kubectl("delete", "pvc", "weights-router-model-0")


@pytest.mark.parametrize("router_first", [True, False])
def test_router_and_operator_can_be_deleted_in_any_order(
    operator: Release, namespace: Namespace, router_first: bool
) -> None:
    namespace.apply(router("demo"))
    eventually(lambda: namespace.pods("demo", "api") and namespace.pods("demo", "model"), within=60)
    steps = [lambda: namespace.kubectl("delete", "rd", "demo", "--timeout=60s"), operator.uninstall]
    for step in steps if router_first else reversed(steps):
        step()
    eventually(lambda: not namespace.all(*KINDS, selector="rlrouter.dev/router=demo"), within=180)


def _remaining(namespace: Namespace) -> set[str]:
    manifests = namespace.all(*KINDS, "pvc", "secret")
    names = {f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in manifests}
    from_kubernetes = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
    return names - from_kubernetes


def _cluster_wide(cluster: Cluster) -> set[str]:
    kinds = "clusterrole,clusterrolebinding,crd,mutatingwebhookconfigurations,validatingwebhookconfigurations"
    names = cluster.kubectl("get", kinds, "--output", "name").split()
    matches = {name for name in names if "rl-router" in name or "rlrouter" in name}
    return {name.replace(".apiextensions.k8s.io/", "/").replace(".rbac.authorization.k8s.io/", "/") for name in matches}
