"""The chart's release: one in a cluster, since the operator looks after the whole of it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import images
import kind
from cluster import Cluster, Namespace
from images import ROOT
from once import once

CHART = ROOT / "charts" / "rl-router"
NAME, NAMESPACE = "rl-router", "rl-router-system"
CLUSTERS = BUSY, ALONE = "rl-router-e2e", "rl-router-e2e-alone"
"""Those that are made where none is given."""
NEVER = {"image": {"pullPolicy": "Never"}, "routers": {"imagePullPolicy": "Never"}}
"""The images were loaded into the nodes, and nothing outside is to be asked for them."""


class Release:
    """`rl-router` in `rl-router-system`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.namespace = Namespace(cluster, NAMESPACE)
        self._values: Any = NEVER
        """Those it was last installed with; None if it is not installed. At first it is as it is by default."""

    def install(self, values: Any = NEVER) -> str:
        """Installs or upgrades it and waits until the operator is ready; what Helm says."""
        self._values = None
        self._restrict()
        said = self.cluster.helm(
            "upgrade", "--install", NAME, CHART, "--namespace", NAMESPACE, "--wait", "--timeout", "3m", values=values
        )  # fmt: skip
        self._values = values
        return said

    def _restrict(self) -> None:
        """Has Kubernetes refuse what does not meet Pod Security `restricted` in the release's namespace."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(namespace))

    def restore(self) -> None:
        """Leaves it as it is by default."""
        if self._values != NEVER:
            self.install()

    def uninstall(self) -> None:
        """Removes it; that it is not there is no error."""
        self._values = None
        self.cluster.helm(
            "uninstall", NAME, "--namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout", "2m"
        )  # fmt: skip

    def test(self) -> None:
        """`helm test`. Raises CommandError where it fails."""
        self.cluster.helm("test", NAME, "--namespace", NAMESPACE, "--timeout", "12m", "--logs", timeout=800)


def installed(name: str, folder: Path) -> Release:
    """The release in the cluster of that name, or in the one that is given, as it is by default at first.

    `folder` is the same for all workers of pytest: the first that comes makes the cluster and installs.
    """
    return _installed("given" if kind.given() else name, folder)


@cache
def _installed(name: str, folder: Path) -> Release:
    cluster = kind.given() or Cluster(folder / f"{name}.kubeconfig")
    release = Release(cluster)

    def make() -> None:
        if not kind.given():
            kind.create(name, cluster)
            kind.load(cluster, images.ALL, *cluster.nodes)
        release.install()

    once(folder / f"{name}.made", make)
    return release
