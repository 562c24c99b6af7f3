"""The clusters that the tests run in: the one that E2E_KUBECONFIG names, or some made with kind and removed again.

KIND_NODE_IMAGE names the nodes' image where kind's own cannot be pulled, E2E_MANIFESTS files (by colons) that are
applied to the new cluster, as metrics-server's.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from cluster import Cluster, run

NODES = 3
_KUBELET = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "syncFrequency": "10s"}
"""A changed ConfigMap or Secret reaches the pods within seconds instead of a minute or so."""


def given() -> Cluster | None:
    """The cluster that E2E_KUBECONFIG names."""
    named = os.environ.get("E2E_KUBECONFIG")
    return Cluster(Path(named)) if named else None


def create(name: str, made: Cluster) -> None:
    """Makes a cluster whose nodes have no image of ours yet, in place of one that an interrupted run left."""
    delete(name)
    nodes = [{"role": "control-plane"}, *[{"role": "worker"}] * (NODES - 1)]
    configuration = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": nodes,
        "kubeadmConfigPatches": [yaml.safe_dump(_KUBELET)],
    }
    image = os.environ.get("KIND_NODE_IMAGE")
    run(
        "kind", "create", "cluster", "--name", name, "--kubeconfig", made.kubeconfig, "--wait", "3m", "--config", "-",
        *(["--image", image] if image else []), stdin=yaml.safe_dump(configuration), timeout=600,
    )  # fmt: skip
    for path in filter(None, os.environ.get("E2E_MANIFESTS", "").split(":")):
        made.kubectl("apply", "-f", path)


def delete(name: str) -> None:
    """Removes a cluster; that it is not there is no error. The user's own kubeconfig is not touched."""
    with TemporaryDirectory() as folder:
        run("kind", "delete", "cluster", "--name", name, "--kubeconfig", Path(folder) / "kubeconfig")


def load(target: Cluster, images: tuple[str, ...], *nodes: str) -> None:
    """Puts images of this machine's Docker into the nodes where the cluster is one of kind's.

    Elsewhere the nodes must be able to pull them.
    """
    context = target.kubectl("config", "current-context").strip()
    if context.startswith("kind-"):
        chosen = ("--name", context.removeprefix("kind-"), "--nodes", ",".join(nodes))
        run("kind", "load", "docker-image", *chosen, *images, timeout=900)
