"""Runs a real API server with the CRD of RouterDeployments and with the operator's permissions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rl_router_operator import rbac
from rl_router_operator.generate.output import ROOT

from . import control_plane
from .admission import CRDS, ROUTERS
from .control_plane import ApiServer
from .waiting import wait_until

CRD = ROOT / "crds" / "routerdeployments.rlrouter.dev.yaml"
ROLES = "/apis/rbac.authorization.k8s.io/v1"


@contextmanager
def installed(folder: Path, *flags: str) -> Iterator[ApiServer]:
    """Runs an API server that serves RouterDeployments, until the context ends.

    The API server stores its data in the folder `folder` and has the additional flags `flags`.
    """
    with control_plane.running(folder, *flags) as server:
        assert server.request("POST", CRDS, yaml.safe_load(CRD.read_text()))["metadata"]["uid"]
        wait_until(lambda: server.client.get(ROUTERS).status_code == 200, "RouterDeployments are served")
        grant(server, "operator", all_rules())
        yield server


def all_rules() -> list[dict[str, Any]]:
    """Returns all permissions that a cluster-wide operator or an operator for selected namespaces needs."""
    return [*rbac.operator_rules(), *rbac.lease_rules(), *rbac.claim_rules(), *rbac.claim_watch_rules()]


def grant(server: ApiServer, user: str, rules: list[dict[str, Any]]) -> None:
    """Replaces the cluster-wide permissions of the user `user` with the RBAC rules `rules`."""
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": user}, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
        "roleRef": {"kind": "ClusterRole", "name": user, "apiGroup": group},
    }
    for plural, body in (("clusterroles", role), ("clusterrolebindings", binding)):
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = {"fieldManager": "tests", "force": "true"}
        server.client.patch(f"{ROLES}/{plural}/{user}", json=body, headers=headers, params=query).raise_for_status()
