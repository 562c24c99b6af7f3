"""The guides whose reader has the operator."""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster import Cluster, Namespace
from following import follow
from release import Release


def test_the_guide_to_routers_leads_through_their_lives(
    operator: Release, namespace: Namespace, tmp_path: Path
) -> None:
    here = tmp_path / "kubeconfig"
    shutil.copy(namespace.cluster.kubeconfig, here)
    Cluster(here).kubectl("config", "set-context", "--current", f"--namespace={namespace.name}")
    keys = {"OPENAI_API_KEY": "old", "NEW_KEY": "new"}
    said = follow("docs/kubernetes.md", "docs/troubleshooting-kubernetes.md", KUBECONFIG=str(here), **keys)
    assert "router_metadata" in said
