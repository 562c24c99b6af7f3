"""The cluster that the tests run in: the one that E2E_KUBECONFIG names, or one made with kind and removed again.

KIND_NODE_IMAGE names the nodes' image where kind's own cannot be pulled, E2E_MANIFESTS files (by colons) that are
applied to the new cluster, as metrics-server's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from cluster import Cluster, run

NODES = 3
_KUBELET = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "syncFrequency": "10s"}
"""A changed ConfigMap or Secret reaches the pods within seconds instead of a minute or so."""


@contextmanager
def cluster(name: str, folder: Path) -> Iterator[Cluster]:
    """A cluster whose nodes have no image of ours yet."""
    given = os.environ.get("E2E_KUBECONFIG")
    if given:
        yield Cluster(Path(given))
        return
    kubeconfig = folder / "kubeconfig"
    try:
        _create(name, kubeconfig)
        made = Cluster(kubeconfig)
        for path in filter(None, os.environ.get("E2E_MANIFESTS", "").split(":")):
            made.kubectl("apply", "-f", path)
        yield made
    finally:
        run("kind", "delete", "cluster", "--name", name, "--kubeconfig", kubeconfig)


def load(target: Cluster, images: tuple[str, ...], *nodes: str) -> None:
    """Puts images of this machine's Docker into the nodes where the cluster is one of kind's.

    Elsewhere the nodes must be able to pull them.
    """
    context = target.kubectl("config", "current-context").strip()
    if context.startswith("kind-"):
        chosen = ("--name", context.removeprefix("kind-"), "--nodes", ",".join(nodes))
        run("kind", "load", "docker-image", *chosen, *images, timeout=900)


def _create(name: str, kubeconfig: Path) -> None:
    nodes = [{"role": "control-plane"}, *[{"role": "worker"}] * (NODES - 1)]
    configuration = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": nodes,
        "kubeadmConfigPatches": [yaml.safe_dump(_KUBELET)],
    }
    image = os.environ.get("KIND_NODE_IMAGE")
    run(
        "kind", "create", "cluster", "--name", name, "--kubeconfig", kubeconfig, "--wait", "3m", "--config", "-",
        *(["--image", image] if image else []), stdin=yaml.safe_dump(configuration), timeout=600,
    )  # fmt: skip
