"""Provides the clusters of the tests: the existing one in E2E_KUBECONFIG, or temporary ones that kind creates.

KIND_NODE_IMAGE is the nodes' image if kind's default cannot be pulled. E2E_MANIFESTS are files, separated by colons,
that are applied to a new cluster, such as metrics-server's.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from cluster import Cluster, run

NODES = 3
_KUBELET = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "syncFrequency": "10s"}
"""With this period a changed ConfigMap or Secret reaches the pods in about 10 s instead of a minute."""


def existing() -> Cluster | None:
    """Returns the cluster of the kubeconfig in E2E_KUBECONFIG; None if it is not set."""
    kubeconfig = os.environ.get("E2E_KUBECONFIG")
    return Cluster(Path(kubeconfig)) if kubeconfig else None


def create(name: str, cluster: Cluster) -> None:
    """Creates a cluster with the kubeconfig of `cluster`, without images. Replaces one from an interrupted run."""
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
        "kind", "create", "cluster", "--name", name, "--kubeconfig", cluster.kubeconfig, "--wait", "3m",
        "--config", "-", *(["--image", image] if image else []), stdin=yaml.safe_dump(configuration), timeout=600,
    )  # fmt: skip
    for path in filter(None, os.environ.get("E2E_MANIFESTS", "").split(":")):
        cluster.kubectl("apply", "-f", path)


def delete(name: str) -> None:
    """Deletes a cluster if it exists. Does not change the user's kubeconfig."""
    with TemporaryDirectory() as folder:
        run("kind", "delete", "cluster", "--name", name, "--kubeconfig", Path(folder) / "kubeconfig")


def load(target: Cluster, images: tuple[str, ...], *nodes: str) -> None:
    """Loads images from the local Docker into the nodes of a kind cluster.

    Does nothing in other clusters, whose nodes must be able to pull the images.
    """
    context = target.kubectl("config", "current-context").strip()
    if context.startswith("kind-"):
        options = ("--name", context.removeprefix("kind-"), "--nodes", ",".join(nodes))
        run("kind", "load", "docker-image", *options, *images, timeout=900)
