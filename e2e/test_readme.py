"""The guides that begin without a cluster, or without the operator in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import kind
import pytest
from cluster import Cluster
from following import follow
from release import Release

README = "rl-router-readme"


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, str]]:
    """The cluster that the README's commands made, and what they said."""
    if not shutil.which("kind"):
        pytest.skip("kind is not installed")
    cluster = Cluster(tmp_path_factory.mktemp("readme") / "kubeconfig")
    kind.delete(README)
    try:
        yield cluster, follow("README.md", KIND_CLUSTER_NAME=README, KUBECONFIG=str(cluster.kubeconfig))
    finally:
        kind.delete(README)


def test_the_readme_leads_from_no_cluster_to_a_routed_answer(readme: tuple[Cluster, str]) -> None:
    _, said = readme
    answer = json.loads(said.splitlines()[-1])
    assert answer["router_metadata"]["model_used"]


def test_the_guide_to_installation_installs_upgrades_and_uninstalls(readme: tuple[Cluster, str]) -> None:
    cluster, _ = readme
    Release(cluster).uninstall()
    nodes = ",".join(cluster.nodes)
    said = follow("docs/install.md", KIND_CLUSTER_NAME=README, NODES=nodes, KUBECONFIG=str(cluster.kubeconfig))
    assert "Phase:          Succeeded" in said
