"""Saves the objects, Events and logs of a failed test in one folder."""

from __future__ import annotations

from pathlib import Path

from cluster import Cluster, CommandError

_KINDS = "rd,all,configmaps,pvc,networkpolicies,pdb,ingresses,serviceaccounts"


def dump(cluster: Cluster, namespaces: list[str], folder: Path) -> None:
    """Writes the objects, descriptions, events and logs of the namespaces, and the nodes, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for namespace in namespaces:
        options = ("--namespace", namespace)
        _write(cluster, folder / f"{namespace}-objects.yaml", *options, "get", _KINDS, "--output", "yaml")
        _write(cluster, folder / f"{namespace}-pods.txt", *options, "describe", "pods")
        _write(cluster, folder / f"{namespace}-routers.txt", *options, "describe", "rd")
        _write(cluster, folder / f"{namespace}-events.txt", *options, "events")
        for pod in _output(cluster, *options, "get", "pods", "--output", "name").split():
            name = pod.removeprefix("pod/")
            _write(cluster, folder / f"{namespace}-{name}.log", *options, "logs", name, "--all-containers")
            _write(cluster, folder / f"{namespace}-{name}-previous.log", *options, "logs", name, "--previous")
    _write(cluster, folder / "nodes.txt", "describe", "nodes")


def _write(cluster: Cluster, path: Path, *arguments: str) -> None:
    path.write_text(_output(cluster, *arguments), "utf-8")


def _output(cluster: Cluster, *arguments: str) -> str:
    # An error is written to the file, because an exception here would hide the failure of the test.
    try:
        return cluster.kubectl(*arguments)
    except CommandError as error:
        return f"{error}\n"
