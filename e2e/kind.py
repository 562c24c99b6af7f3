"""Provides the tests' clusters: the existing cluster of E2E_KUBECONFIG, or temporary clusters that kind creates.

KIND_NODE_IMAGE is the image of the nodes, if kind's default image cannot be pulled. E2E_MANIFESTS lists manifest files,
separated by colons, that are applied to each new cluster, for example those of metrics-server.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import yaml
from cluster import Cluster, run

NODES = 3
_KUBELET = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "syncFrequency": "10s"}
"""The kubelet's configuration. The kubelet's sync period brings a changed ConfigMap to the pods in 10 s, not in a
minute."""


def existing() -> Cluster | None:
    """Returns the cluster of the kubeconfig in E2E_KUBECONFIG, or None if the variable is not set."""
    kubeconfig = os.environ.get("E2E_KUBECONFIG")
    return Cluster(Path(kubeconfig)) if kubeconfig else None


def create(name: str, cluster: Cluster, nodes: int = NODES, ip_family: Literal["ipv4", "ipv6"] = "ipv4") -> None:
    """Creates the cluster and its kubeconfig, without images. Replaces a cluster that an interrupted run left."""
    delete(name)
    configuration = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"ipFamily": ip_family},
        "nodes": [{"role": "control-plane"}, *[{"role": "worker"}] * (nodes - 1)],
        "kubeadmConfigPatches": [yaml.safe_dump(_KUBELET)],
    }
    image = os.environ.get("KIND_NODE_IMAGE")
    run(
        "kind", "create", "cluster", "--name", name, "--kubeconfig", cluster.kubeconfig, "--wait", "3m",
        "--config", "-", *(["--image", image] if image else []), stdin=yaml.safe_dump(configuration), timeout=600,
    )  # fmt: skip
    if ip_family == "ipv6":
        _repair_ipv6_route(name, cluster)
    for path in filter(None, os.environ.get("E2E_MANIFESTS", "").split(":")):
        cluster.kubectl("apply", "-f", path)


def _repair_ipv6_route(name: str, cluster: Cluster) -> None:
    """Changes the pods' default route from IPv4 to IPv6, because some node images always use IPv4."""
    for node in run("kind", "get", "nodes", "--name", name).split():
        run("docker", "exec", node, "sh", "-c", """sed -i 's#"0.0.0.0/0"#"::/0"#' /etc/cni/net.d/*""")
    # The running pods keep their old route.
    pods = ("pods", "--all-namespaces", "--field-selector=spec.hostNetwork=false")
    cluster.kubectl("delete", *pods, "--wait=false")


def delete(name: str) -> None:
    """Deletes a cluster if it exists. The user's kubeconfig is not changed."""
    with TemporaryDirectory() as folder:
        run("kind", "delete", "cluster", "--name", name, "--kubeconfig", Path(folder) / "kubeconfig")


def load(target: Cluster, images: tuple[str, ...], *nodes: str) -> None:
    """Loads images from the local Docker into the nodes of a kind cluster.

    Does nothing for clusters that kind did not create. The nodes of such clusters must already contain the images.
    """
    context = target.kubectl("config", "current-context").strip()
    if context.startswith("kind-"):
        options = ("--name", context.removeprefix("kind-"), "--nodes", ",".join(nodes))
        run("kind", "load", "docker-image", *options, *images, timeout=900)
