"""What is kept of a test that failed: objects, events and logs, in one folder."""

from __future__ import annotations

from pathlib import Path

from cluster import Cluster, CommandError

_KINDS = "rd,all,configmaps,pvc,networkpolicies,pdb,ingresses,serviceaccounts"


def dump(cluster: Cluster, namespaces: list[str], folder: Path) -> None:
    """Writes what is worth knowing of the namespaces."""
    folder.mkdir(parents=True, exist_ok=True)
    for namespace in namespaces:
        here = ("--namespace", namespace)
        _write(cluster, folder / f"{namespace}-objects.yaml", *here, "get", _KINDS, "--output", "yaml")
        _write(cluster, folder / f"{namespace}-pods.txt", *here, "describe", "pods")
        _write(cluster, folder / f"{namespace}-routers.txt", *here, "describe", "rd")
        _write(cluster, folder / f"{namespace}-events.txt", *here, "events")
        for pod in _said(cluster, *here, "get", "pods", "--output", "name").split():
            name = pod.removeprefix("pod/")
            _write(cluster, folder / f"{namespace}-{name}.log", *here, "logs", name, "--all-containers")
            _write(cluster, folder / f"{namespace}-{name}-before.log", *here, "logs", name, "--previous")
    _write(cluster, folder / "nodes.txt", "describe", "nodes")


def _write(cluster: Cluster, path: Path, *arguments: str) -> None:
    path.write_text(_said(cluster, *arguments), "utf-8")


def _said(cluster: Cluster, *arguments: str) -> str:
    # What cannot be had says why in its place: a dump must not hide the failure that it is about.
    try:
        return cluster.kubectl(*arguments)
    except CommandError as error:
        return f"{error}\n"
