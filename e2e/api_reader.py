"""Reads objects over persistent connections, because each call of kubectl takes a sixth of a second of CPU time."""

from __future__ import annotations

import json
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config
from urllib3.exceptions import HTTPError

_GROUPS = {
    "rd": "apis/rlrouter.dev/v1alpha1/routerdeployments",
    "pod": "api/v1/pods",
    "configmap": "api/v1/configmaps",
    "pvc": "api/v1/persistentvolumeclaims",
    "secret": "api/v1/secrets",
    "service": "api/v1/services",
    "serviceaccount": "api/v1/serviceaccounts",
    "deployment": "apis/apps/v1/deployments",
    "statefulset": "apis/apps/v1/statefulsets",
    "job": "apis/batch/v1/jobs",
    "lease": "apis/coordination.k8s.io/v1/leases",
    "networkpolicy": "apis/networking.k8s.io/v1/networkpolicies",
    "poddisruptionbudget": "apis/policy/v1/poddisruptionbudgets",
}
"""The path of each kind that the tests read (group, version, plural), by kubectl's name of the kind."""


class ReadError(Exception):
    """A failed read. The message contains the path and the API server's response."""


class Reader:
    """Reads the objects of one cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    @cached_property
    def _client(self) -> ApiClient:
        return new_client_from_config(config_file=str(self._kubeconfig))

    def raw(self, path: str, **query: str) -> Any:
        """Returns the JSON of a GET request. Raises ReadError."""
        request = self._client.param_serialize(
            "GET", path, query_params=list(query.items()), auth_settings=["BearerToken"]
        )  # fmt: skip
        try:
            response = self._client.call_api(*request, _request_timeout=20)
        except (ApiException, HTTPError) as error:
            raise ReadError(f"{path}: {error}") from None
        body = response.read()
        if response.status != HTTPStatus.OK:
            raise ReadError(f"{path}: {response.status} {body.decode(errors='replace')}")
        return json.loads(body)

    def get(self, namespace: str, kind: str, name: str) -> Any:
        """Returns one object. Raises ReadError if it does not exist."""
        return self.raw(f"{_path(namespace, kind)}/{name}")

    def all(self, namespace: str, kind: str, selector: str) -> list[Any]:
        """Returns all objects of a kind, each with `kind`, including those that are being deleted. Raises ReadError."""
        result = self.raw(_path(namespace, kind), labelSelector=selector)
        return [{"kind": result["kind"].removesuffix("List"), **item} for item in result["items"]]


def _path(namespace: str, kind: str) -> str:
    group, _, plural = _GROUPS[kind].rpartition("/")
    return f"/{group}/namespaces/{namespace}/{plural}"
