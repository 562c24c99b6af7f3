"""The commands of the guides that require the operator work."""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster import Cluster, Namespace
from guide_commands import run_guides
from release import Release


def test_the_commands_of_the_kubernetes_guides_work(operator: Release, namespace: Namespace, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(namespace.cluster.kubeconfig, kubeconfig)
    Cluster(kubeconfig).kubectl("config", "set-context", "--current", f"--namespace={namespace.name}")
    keys = {"OPENAI_API_KEY": "old", "NEW_KEY": "new"}
    output = run_guides("docs/kubernetes.md", "docs/troubleshooting-kubernetes.md", KUBECONFIG=str(kubeconfig), **keys)
    assert "router_metadata" in output
