"""The commands of the README and of the installation guide work, starting without a cluster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import kind
import pytest
from cluster import Cluster
from guide_commands import run_guides
from release import Release

README = "rl-router-readme"


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, str]]:
    """Returns the cluster that the README's commands created, and the output of the commands."""
    if not shutil.which("kind"):
        pytest.skip("kind is not installed")
    cluster = Cluster(tmp_path_factory.mktemp("readme") / "kubeconfig")
    kind.delete(README)
    try:
        yield cluster, run_guides("README.md", KIND_CLUSTER_NAME=README, KUBECONFIG=str(cluster.kubeconfig))
    finally:
        kind.delete(README)


def test_the_commands_of_the_readme_create_a_cluster_and_return_a_routed_answer(readme: tuple[Cluster, str]) -> None:
    _, output = readme
    answer = json.loads(output.splitlines()[-1])
    assert answer["router_metadata"]["model_used"]


def test_the_commands_of_the_installation_guide_install_upgrade_and_uninstall(readme: tuple[Cluster, str]) -> None:
    cluster, _ = readme
    Release(cluster).uninstall()
    nodes = ",".join(cluster.nodes)
    output = run_guides("docs/install.md", KIND_CLUSTER_NAME=README, NODES=nodes, KUBECONFIG=str(cluster.kubeconfig))
    assert "Phase:          Succeeded" in output
