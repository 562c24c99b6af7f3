"""A real API server that serves RouterDeployments and lets the operator do what it may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import control_plane
import yaml
from admission import DEFINITIONS, ROUTERS
from control_plane import ApiServer
from eventually import eventually
from rl_router_operator import rbac
from rl_router_operator.generate.output import ROOT

CRD = ROOT / "crds" / "routerdeployments.rlrouter.dev.yaml"
ROLES = "/apis/rbac.authorization.k8s.io/v1"


@contextmanager
def prepared(folder: Path) -> Iterator[ApiServer]:
    """One with its data under `folder`, stopped at the end."""
    with control_plane.running(folder) as server:
        assert server.ask("POST", DEFINITIONS, yaml.safe_load(CRD.read_text()))["metadata"]["uid"]
        eventually(lambda: server.client.get(ROUTERS).status_code == 200, "RouterDeployments are served")
        grant(server, "operator", [*rbac.operator_rules(), *rbac.lease_rules()])
        yield server


def grant(server: ApiServer, user: str, rules: list[dict[str, Any]]) -> None:
    """Lets a user do what the rules say, in place of what it might do before."""
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
