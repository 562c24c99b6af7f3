"""Sends dry runs to the API server. In a dry run, the API server validates an object without storing the object."""

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
    """A client that sends dry runs to the API server.

    The API server responds to a dry run with the object that would be stored, or with a Status that contains errors.
    """

    server: ApiServer

    def create(self, manifest: Manifest) -> Manifest:
        """Returns the API server's response to a dry run that creates the RouterDeployment `manifest`."""
        return self.server.request("POST", ROUTERS + _DRY_RUN, manifest)

    def accepts_in_a_pod(self, quantity: Any) -> bool:
        """Returns whether the API server accepts `quantity` as the CPU request and the CPU limit of a Pod."""
        resources = {"requests": {"cpu": quantity}, "limits": {"cpu": quantity}}
        container = {"name": "any", "image": "any", "resources": resources}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}, "spec": {"containers": [container]}}
        path = "/api/v1/namespaces/default/pods"
        return self.server.request("POST", path + _DRY_RUN, pod)["kind"] == "Pod"

    def update(self, earlier: Manifest, later: Manifest) -> Manifest:
        """Returns the API server's response to a dry run that replaces the RouterDeployment `earlier` with `later`.

        The RouterDeployments `earlier` and `later` have the same name. The API server stores `earlier` only until the
        dry run ends.
        """
        path = f"{ROUTERS}/{later['metadata']['name']}"
        created = self.server.request("POST", ROUTERS, earlier)
        version = {"resourceVersion": created["metadata"]["resourceVersion"]}
        try:
            return self.server.request("PUT", path + _DRY_RUN, {**later, "metadata": {**later["metadata"], **version}})
        finally:
            self.server.request("DELETE", path)


def errors(status: Manifest) -> list[str]:
    """Returns the errors of a Status.

    For each cause, the list contains the text `path: message`, or only the message if the cause has no path. If the
    message begins with the rejected value in quotes, the function removes this value from the message. The last item of
    the list is the whole message of the Status.
    """
    assert status["kind"] == "Status", status
    return [*(_message(cause) for cause in status.get("details", {}).get("causes", ())), status["message"]]


def _message(cause: Manifest) -> str:
    # Kubernetes 1.30 also reports the Go type of a rejected value.
    message = cause["message"].removeprefix("Invalid value: ").replace("map[string]interface {}", "")
    if message.startswith('"'):
        message = message.partition('": ')[2]
    return message if cause["field"] == "<nil>" else f"{cause['field']}: {message}"
