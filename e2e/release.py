"""Installs the chart: one release per cluster, because the operator manages the whole cluster."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import images
import kind
from cluster import Cluster, Namespace
from images import ROOT
from run_once import run_once

CHART = ROOT / "charts" / "rl-router"
NAME, NAMESPACE = "rl-router", "rl-router-system"
SHARED, SERIAL, IPV6 = "rl-router-e2e", "rl-router-e2e-serial", "rl-router-e2e-ipv6"
CLUSTERS: dict[str, dict[str, Any]] = {SHARED: {}, SERIAL: {}, IPV6: {"nodes": 1, "ip_family": "ipv6"}}
"""The clusters that the tests create if E2E_KUBECONFIG is not set: their names, and their settings in `kind.create`."""
DEFAULT = {"image": {"pullPolicy": "Never"}, "routers": {"imagePullPolicy": "Never"}}
"""The tests' default values of the chart. The images are loaded into the nodes, so they must not be pulled."""


class Release:
    """The release `rl-router` in the namespace `rl-router-system`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.namespace = Namespace(cluster, NAMESPACE)
        self._values: Any = DEFAULT
        """The values of the installed release, or None if the release is not installed."""

    def install(self, values: Any = DEFAULT) -> str:
        """Installs or upgrades the release, waits until the operator is ready, and returns Helm's output."""
        self._values = None
        self._enforce_pod_security()
        output = self.cluster.helm(
            "upgrade", "--install", NAME, CHART, "--namespace", NAMESPACE, "--wait", "--timeout", "3m", values=values
        )  # fmt: skip
        self._values = values
        return output

    def _enforce_pod_security(self) -> None:
        """Creates the release's namespace, which enforces Pod Security `restricted`."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(namespace))

    def restore(self) -> None:
        """Installs the release with the tests' default values, unless it already has them."""
        if self._values != DEFAULT:
            self.install()

    def uninstall(self) -> None:
        """Uninstalls the release if it is installed."""
        self._values = None
        self.cluster.helm(
            "uninstall", NAME, "--namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout", "2m"
        )  # fmt: skip

    def test(self) -> None:
        """Runs `helm test`. Raises CommandError if it fails."""
        self.cluster.helm("test", NAME, "--namespace", NAMESPACE, "--timeout", "12m", "--logs", timeout=800)


def installed(name: str, folder: Path) -> Release:
    """Returns the release in the existing cluster, or in the cluster `name` if E2E_KUBECONFIG is not set.

    `folder` must be the same for all pytest workers. The first worker creates the cluster and installs the release.
    """
    return _installed("existing" if kind.existing() else name, folder)


@cache
def _installed(name: str, folder: Path) -> Release:
    cluster = kind.existing() or Cluster(folder / f"{name}.kubeconfig")
    release = Release(cluster)

    def setup() -> None:
        if not kind.existing():
            kind.create(name, cluster, **CLUSTERS[name])
            kind.load(cluster, images.ALL, *cluster.nodes)
        release.install()

    run_once(folder / f"{name}.done", setup)
    return release
