"""Dry runs, in which the API server validates a RouterDeployment without storing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .control_plane import ApiServer

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROUTERS = "/apis/rlrouter.dev/v1alpha1/namespaces/default/routerdeployments"
_DRY_RUN = "?dryRun=All&fieldValidation=Strict"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Admission:
    """Sends dry runs to the API server, which returns the object that it would store, or a Status with errors."""

    server: ApiServer

    def create(self, manifest: Manifest) -> Manifest:
        """Returns the API server's response to the creation of an object."""
        return self.server.request("POST", ROUTERS + _DRY_RUN, manifest)

    def accepts_in_a_pod(self, quantity: Any) -> bool:
        """Returns whether a Pod may have this CPU request."""
        resources = {"requests": {"cpu": quantity}, "limits": {"cpu": quantity}}
        container = {"name": "any", "image": "any", "resources": resources}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}, "spec": {"containers": [container]}}
        path = "/api/v1/namespaces/default/pods"
        return self.server.request("POST", path + _DRY_RUN, pod)["kind"] == "Pod"

    def update(self, earlier: Manifest, later: Manifest) -> Manifest:
        """Returns the response to an update from `earlier` to `later`, which have the same name."""
        path = f"{ROUTERS}/{later['metadata']['name']}"
        created = self.server.request("POST", ROUTERS, earlier)
        version = {"resourceVersion": created["metadata"]["resourceVersion"]}
        try:
            return self.server.request("PUT", path + _DRY_RUN, {**later, "metadata": {**later["metadata"], **version}})
        finally:
            self.server.request("DELETE", path)


def errors(status: Manifest) -> list[str]:
    """Returns `path: message` for each cause of a Status, without the rejected value, followed by the whole message."""
    assert status["kind"] == "Status", status
    return [*(_message(cause) for cause in status.get("details", {}).get("causes", ())), status["message"]]


def _message(cause: Manifest) -> str:
    # Kubernetes 1.30 also reports the Go type of a rejected value.
    message = cause["message"].removeprefix("Invalid value: ").replace("map[string]interface {}", "")
    if message.startswith('"'):
        message = message.partition('": ')[2]
    return message if cause["field"] == "<nil>" else f"{cause['field']}: {message}"
