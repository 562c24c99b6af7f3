"""The guides, word by word: what is marked as tested in them is run, one block after the other, as a person would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cluster import Cluster, Namespace, run
from images import ROOT
from release import Release

TESTED = re.compile(r"^<!-- tested -->\n```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
PREAMBLE = """
set -euo pipefail
trap 'jobs -p | xargs --no-run-if-empty kill' EXIT
# The nodes' image is named where kind's own cannot be pulled.
kind() {
    [ "$1" != create ] || [ -z "${KIND_NODE_IMAGE:-}" ] || set -- "$@" --image "$KIND_NODE_IMAGE"
    command kind "$@"
}
# Nobody runs the guides' registry: what is pushed to it goes into the nodes that have the images by another name.
docker() {
    if [ "$1" = push ]; then kind load docker-image --nodes "$NODES" "$2"; else command docker "$@"; fi
}
"""


def test_the_readme_leads_from_no_cluster_to_a_routed_answer(tmp_path: Path) -> None:
    if not shutil.which("kind"):
        pytest.skip("kind is not installed")
    name = "rl-router-readme"
    try:
        said = follow("README.md", KIND_CLUSTER_NAME=name, KUBECONFIG=str(tmp_path / "kubeconfig"))
    finally:
        run("kind", "delete", "cluster", "--name", name, "--kubeconfig", tmp_path / "kubeconfig")
    answer = json.loads(said.splitlines()[-1])
    assert answer["router_metadata"]["model_used"]


def test_the_guide_to_installation_installs_upgrades_and_uninstalls(operator: Release, cluster: Cluster) -> None:
    context = cluster.kubectl("config", "current-context").strip()
    if not context.startswith("kind-"):
        pytest.skip("a registry is pretended in kind's nodes alone")
    operator.uninstall()
    name, nodes = context.removeprefix("kind-"), ",".join(cluster.nodes)
    said = follow("docs/install.md", KIND_CLUSTER_NAME=name, NODES=nodes, KUBECONFIG=str(cluster.kubeconfig))
    assert "Phase:          Succeeded" in said


def test_the_guide_to_routers_leads_through_their_lives(
    operator: Release, namespace: Namespace, tmp_path: Path
) -> None:
    here = tmp_path / "kubeconfig"
    shutil.copy(namespace.cluster.kubeconfig, here)
    Cluster(here).kubectl("config", "set-context", "--current", f"--namespace={namespace.name}")
    keys = {"OPENAI_API_KEY": "old", "NEW_KEY": "new"}
    said = follow("docs/kubernetes.md", "docs/troubleshooting-kubernetes.md", KUBECONFIG=str(here), **keys)
    assert "router_metadata" in said


def follow(*guides: str, **variables: str) -> str:
    """What the guides' commands write. Fails with all that they said where one of them fails."""
    blocks = [block for guide in guides for block in TESTED.findall((ROOT / guide).read_text("utf-8"))]
    assert blocks
    command = ["bash", "-xc", PREAMBLE + "\n".join(blocks)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=1800
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
