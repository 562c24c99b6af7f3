"""A cluster's objects, read over connections that stay open: kubectl costs a sixth of a second of CPU each time."""

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
"""Group, version and plural of the kinds that the tests read, by the names that kubectl knows."""


class ReadError(Exception):
    """The API server did not answer with what was asked for; the message is what it said."""


class Reader:
    """The objects of one cluster as the API server gives them."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    @cached_property
    def _client(self) -> ApiClient:
        return new_client_from_config(config_file=str(self._kubeconfig))

    def raw(self, path: str, **query: str) -> Any:
        """An answer of the API server. Raises ReadError."""
        asked = self._client.param_serialize(
            "GET", path, query_params=list(query.items()), auth_settings=["BearerToken"]
        )  # fmt: skip
        try:
            answer = self._client.call_api(*asked, _request_timeout=20)
        except (ApiException, HTTPError) as error:
            raise ReadError(f"{path}: {error}") from None
        said = answer.read()
        if answer.status != HTTPStatus.OK:
            raise ReadError(f"{path}: {answer.status} {said.decode(errors='replace')}")
        return json.loads(said)

    def get(self, namespace: str, kind: str, name: str) -> Any:
        """One object. Raises ReadError where there is none."""
        return self.raw(f"{_path(namespace, kind)}/{name}")

    def all(self, namespace: str, kind: str, selector: str) -> list[Any]:
        """Every object of a kind, those that are being deleted too, each with its kind. Raises ReadError."""
        found = self.raw(_path(namespace, kind), labelSelector=selector)
        return [{"kind": found["kind"].removesuffix("List"), **item} for item in found["items"]]


def _path(namespace: str, kind: str) -> str:
    group, _, plural = _GROUPS[kind].rpartition("/")
    return f"/{group}/namespaces/{namespace}/{plural}"
