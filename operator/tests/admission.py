"""What the API server says to a RouterDeployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from control_plane import ApiServer

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROUTERS = "/apis/rlrouter.dev/v1alpha1/namespaces/default/routerdeployments"
_DRY_RUN = "?dryRun=All&fieldValidation=Strict"
Manifest = dict[str, Any]


def router(spec: Manifest, name: str = "demo") -> Manifest:
    """A RouterDeployment of this spec."""
    return {
        "apiVersion": "rlrouter.dev/v1alpha1",
        "kind": "RouterDeployment",
        "metadata": {"name": name},
        "spec": spec,
    }


@dataclass(frozen=True)
class Admission:
    """Asks for dry runs; the answer is the object as it would be stored, or a Status that refuses it."""

    server: ApiServer

    def create(self, manifest: Manifest) -> Manifest:
        """What is said to a new object."""
        return self.server.ask("POST", ROUTERS + _DRY_RUN, manifest)

    def change(self, earlier: Manifest, later: Manifest) -> Manifest:
        """What is said to an object that another of its name is changed into."""
        path = f"{ROUTERS}/{later['metadata']['name']}"
        made = self.server.ask("POST", ROUTERS, earlier)
        version = {"resourceVersion": made["metadata"]["resourceVersion"]}
        try:
            return self.server.ask("PUT", path + _DRY_RUN, {**later, "metadata": {**later["metadata"], **version}})
        finally:
            self.server.ask("DELETE", path)


def refusals(status: Manifest) -> list[str]:
    """`path: words` for each cause, without the value that was given, and the whole message."""
    assert status["kind"] == "Status", status
    return [*(_words(cause) for cause in status.get("details", {}).get("causes", ())), status["message"]]


def _words(cause: Manifest) -> str:
    # Kubernetes 1.30 shows a value's type in Go as well.
    message = cause["message"].removeprefix("Invalid value: ").replace("map[string]interface {}", "")
    if message.startswith('"'):
        message = message.partition('": ')[2]
    return message if cause["field"] == "<nil>" else f"{cause['field']}: {message}"
