"""A cluster as the tests reach it: through kubectl, with real manifests, and by plain reads of the API server."""

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
from reading import Reader, ReadError

Manifest = dict[str, Any]
T = TypeVar("T")


class CommandError(Exception):
    """A command failed; the message is the command and what it wrote to its standard error."""


def run(*command: str | Path, stdin: str | None = None, timeout: float = 300) -> str:
    """What a command writes to its standard output. Raises CommandError."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise CommandError(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def eventually(check: Callable[[], T], within: float, every: float = 0.5) -> T:
    """What `check` returns once that is true; until then it may fail. After `within` seconds its failure counts."""
    end = time.monotonic() + within
    while True:
        try:
            found = check()
            assert found, f"still {found!r} after {within:g} s"
        except (AssertionError, CommandError, LookupError, ReadError):
            if time.monotonic() > end:
                raise
            time.sleep(every)
        else:
            return found


class Cluster:
    """kubectl and helm, pointed at one cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.reader = Reader(kubeconfig)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 120) -> str:
        """Raises CommandError."""
        return run("kubectl", "--kubeconfig", self.kubeconfig, *arguments, stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str | Path, values: Any = None, timeout: float = 300) -> str:
        """Helm, with values as a file. Raises CommandError."""
        told = ["--values", "-"] if values is not None else []
        stdin = yaml.safe_dump(values) if values is not None else None
        return run("helm", "--kubeconfig", self.kubeconfig, *arguments, *told, stdin=stdin, timeout=timeout)

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes that are meant to take pods, though one may not be ready just now."""
        found = json.loads(self.kubectl("get", "nodes", "--output", "json"))["items"]
        return [node["metadata"]["name"] for node in found if not any(map(_keeps_off, node["spec"].get("taints", ())))]


def _keeps_off(taint: Manifest) -> bool:
    passing = taint["key"].startswith("node.kubernetes.io/")
    return taint["effect"] == "NoSchedule" and not passing


class Namespace:
    """One test's namespace."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 120) -> str:
        """kubectl in this namespace. Raises CommandError."""
        return self.cluster.kubectl("--namespace", self.name, *arguments, stdin=stdin, timeout=timeout)

    def apply(self, *manifests: Manifest) -> None:
        """Server-side, as one user."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def patch(self, kind: str, name: str, change: Manifest, subresource: str | None = None) -> None:
        """A merge patch."""
        where = ["--subresource", subresource] if subresource else []
        self.kubectl("patch", kind, name, *where, "--type=merge", "--patch", json.dumps(change))

    def get(self, kind: str, name: str) -> Manifest:
        """Raises ReadError where there is none."""
        found: Manifest = self.cluster.reader.get(self.name, kind, name)
        return found

    def all(self, *kinds: str, selector: str = "") -> list[Manifest]:
        """Every object of the kinds, those that are being deleted too. Raises ReadError."""
        return [each for kind in kinds for each in self.cluster.reader.all(self.name, kind, selector)]

    def pods(self, router: str, component: str) -> dict[str, Manifest]:
        """The pods of a router's tier that are not being deleted, by uid."""
        selector = f"rlrouter.dev/router={router},app.kubernetes.io/component={component}"
        living = [pod for pod in self.all("pod", selector=selector) if "deletionTimestamp" not in pod["metadata"]]
        return {pod["metadata"]["uid"]: pod for pod in living}

    def condition(self, router: str, kind: str) -> Manifest:
        """Raises LookupError where it is not said yet, or about an older spec."""
        found = self.get("rd", router)
        for condition in found.get("status", {}).get("conditions", ()):
            if condition["type"] == kind and condition["observedGeneration"] == found["metadata"]["generation"]:
                return dict(condition)
        raise LookupError(f"{router} says nothing of {kind} yet")

    def until_ready(self, router: str, within: float = 240) -> None:
        """Waits until the router says that it routes."""

        def ready() -> bool:
            condition = self.condition(router, "Ready")
            assert condition["status"] == "True", f"{condition['reason']}: {condition['message']}"
            return True

        eventually(ready, within)

    def until_says(self, router: str, kind: str, status: str, reason: str, within: float = 120) -> str:
        """The message of a condition once it has that status and reason."""

        def said() -> str:
            condition = self.condition(router, kind)
            assert (condition["status"], condition["reason"]) == (status, reason), condition
            return str(condition["message"])

        return eventually(said, within)


@contextmanager
def forwarded(namespace: Namespace, what: str, port: int) -> Iterator[int]:
    """A port of this machine that leads to the one of a Service or pod."""
    command = ["kubectl", "--kubeconfig", str(namespace.cluster.kubeconfig), "--namespace", namespace.name]
    with subprocess.Popen([*command, "port-forward", what, f":{port}"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+) ->", said)
            assert found, f"kubectl port-forward says {said!r}"
            yield int(found[1])
        finally:
            process.terminate()
