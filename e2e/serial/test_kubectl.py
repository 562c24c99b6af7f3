"""The operator can be installed without Helm."""

from __future__ import annotations

from cluster import Cluster, Namespace
from images import ROOT
from in_cluster_client import Client, assert_complete
from objects import LONG_TIMEOUT, router
from release import Release


def test_kubectl_installs_a_working_operator_without_helm(
    operator: Release, cluster: Cluster, namespace: Namespace, client: Client
) -> None:
    operator.uninstall()
    try:
        # Helm or an upgrade owns the fields of the CRD, so the apply must force conflicts.
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", ROOT / "crds", "-f", ROOT / "deploy")
        namespace.apply(router("demo", routing=LONG_TIMEOUT))
        namespace.wait_until_ready("demo")
        assert_complete(client.request("demo"))
    finally:
        cluster.kubectl("delete", "-f", ROOT / "deploy", timeout=180)
