"""Without Helm."""

from __future__ import annotations

from asking import Client, assert_whole
from cluster import Cluster, Namespace
from images import ROOT
from objects import PATIENT, router
from release import Release


def test_kubectl_alone_installs_the_same(
    operator: Release, cluster: Cluster, namespace: Namespace, client: Client
) -> None:
    operator.uninstall()
    try:
        # The definition is Helm's or the upgrade's own so far.
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", ROOT / "crds", "-f", ROOT / "deploy")
        namespace.apply(router("demo", routing=PATIENT))
        namespace.until_ready("demo")
        assert_whole(client.ask("demo"))
    finally:
        cluster.kubectl("delete", "-f", ROOT / "deploy", timeout=180)
