"""Accesses a cluster with kubectl, with Helm, and with direct reads from the API server."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from api_reader import Reader, ReadError

Manifest = dict[str, Any]
T = TypeVar("T")


class CommandError(Exception):
    """A failed command. The message contains the command and its error output."""


def run(*command: str | Path, stdin: str | None = None, timeout: float = 300) -> str:
    """Runs a command and returns its standard output. `timeout` is in seconds. Raises CommandError."""
    words = [str(word) for word in command]
    process = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if process.returncode:
        raise CommandError(f"{' '.join(words)}: {(process.stderr or process.stdout).strip()}")
    return process.stdout


def eventually(check: Callable[[], T], within: float, every: float = 0.5) -> T:
    """Repeats `check` until it returns a true result. Raises the last failure after `within` seconds."""
    end = time.monotonic() + within
    while True:
        try:
            result = check()
            assert result, f"the check still returns {result!r} after {within:g} s"
        except (AssertionError, CommandError, LookupError, ReadError):
            if time.monotonic() > end:
                raise
            time.sleep(every)
        else:
            return result


class Cluster:
    """Access to one cluster with kubectl, with Helm, and with a reader of its API server."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.reader = Reader(kubeconfig)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 120) -> str:
        """Runs kubectl and returns its output. Raises CommandError."""
        return run("kubectl", "--kubeconfig", self.kubeconfig, *arguments, stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str | Path, values: Any = None, timeout: float = 300) -> str:
        """Runs Helm with the chart's `values`, and returns its output. Raises CommandError."""
        options = ["--values", "-"] if values is not None else []
        stdin = yaml.safe_dump(values) if values is not None else None
        return run("helm", "--kubeconfig", self.kubeconfig, *arguments, *options, stdin=stdin, timeout=timeout)

    @property
    def nodes(self) -> list[str]:
        """Returns the names of the nodes that accept pods without tolerations, including nodes that are not ready."""
        items = json.loads(self.kubectl("get", "nodes", "--output", "json"))["items"]
        return [
            node["metadata"]["name"] for node in items if not any(map(_excludes_pods, node["spec"].get("taints", ())))
        ]


def _excludes_pods(taint: Manifest) -> bool:
    temporary = taint["key"].startswith("node.kubernetes.io/")
    return taint["effect"] == "NoSchedule" and not temporary


class Namespace:
    """A namespace of a cluster, and the routers in it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 120) -> str:
        """Runs kubectl in this namespace and returns its output. Raises CommandError."""
        return self.cluster.kubectl("--namespace", self.name, *arguments, stdin=stdin, timeout=timeout)

    def apply(self, *manifests: Manifest) -> None:
        """Applies the manifests server-side and takes ownership of all their fields."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def patch(self, kind: str, name: str, change: Manifest, subresource: str | None = None) -> None:
        """Applies a merge patch to an object or to its subresource."""
        options = ["--subresource", subresource] if subresource else []
        self.kubectl("patch", kind, name, *options, "--type=merge", "--patch", json.dumps(change))

    def get(self, kind: str, name: str) -> Manifest:
        """Returns an object. Raises ReadError if it does not exist."""
        manifest: Manifest = self.cluster.reader.get(self.name, kind, name)
        return manifest

    def all(self, *kinds: str, selector: str = "") -> list[Manifest]:
        """Returns all objects of these kinds, including objects that are being deleted. Raises ReadError."""
        return [manifest for kind in kinds for manifest in self.cluster.reader.all(self.name, kind, selector)]

    def pods(self, router: str, component: str) -> dict[str, Manifest]:
        """Returns the pods of a router's component by uid, without pods that are being deleted."""
        selector = f"rlrouter.dev/router={router},app.kubernetes.io/component={component}"
        running = [pod for pod in self.all("pod", selector=selector) if "deletionTimestamp" not in pod["metadata"]]
        return {pod["metadata"]["uid"]: pod for pod in running}

    def condition(self, router: str, kind: str) -> Manifest:
        """Returns a router's condition.

        Raises LookupError if the condition does not exist or belongs to an older spec.
        """
        manifest = self.get("rd", router)
        for condition in manifest.get("status", {}).get("conditions", ()):
            if condition["type"] == kind and condition["observedGeneration"] == manifest["metadata"]["generation"]:
                return dict(condition)
        raise LookupError(f"{router} has no current condition {kind}")

    def wait_until_ready(self, router: str, within: float = 240) -> None:
        """Waits until the router's condition Ready is True."""

        def ready() -> bool:
            condition = self.condition(router, "Ready")
            assert condition["status"] == "True", f"{condition['reason']}: {condition['message']}"
            return True

        eventually(ready, within)

    def wait_for_condition(self, router: str, kind: str, status: str, reason: str, within: float = 120) -> str:
        """Waits until a condition has this status and reason, and returns its message."""

        def message() -> str:
            condition = self.condition(router, kind)
            assert (condition["status"], condition["reason"]) == (status, reason), condition
            return str(condition["message"])

        return eventually(message, within)


@contextmanager
def port_forward(namespace: Namespace, resource: str, port: int) -> Iterator[int]:
    """Forwards a local port to `port` of a Service or pod, such as "service/demo-api". Yields the local port."""
    command = ["kubectl", "--kubeconfig", str(namespace.cluster.kubeconfig), "--namespace", namespace.name]
    with subprocess.Popen(
        [*command, "port-forward", resource, f":{port}"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            match = re.search(r"127\.0\.0\.1:(\d+) ->", line)
            assert match, f"unexpected output of kubectl port-forward: {line!r}"
            yield int(match[1])
        finally:
            process.terminate()
