"""The operator has exactly the permissions for Leases that it needs, on a real API server.

The operators in these tests use the tokens of the chart's service accounts.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from rendered import needs_helm, of_kind, one, render
from rl_router_operator.cluster.lease import LeaseTerms
from rl_router_operator.controller import options

from fakes.cluster.control_plane import ADMIN, ApiServer, authorization
from fakes.cluster.installation import ROLES, installed
from fakes.cluster.kube_client import Kube
from fakes.cluster.programs import API_SERVER, require
from fakes.cluster.routers import router
from fakes.cluster.running_operator import RunningOperator, launch
from fakes.cluster.waiting import eventually, wait_until

pytestmark = needs_helm
OWN, WATCHED, OTHER = "operators", "team", "other"
"""The namespace of the release, the namespace of the RouterDeployments, and a namespace without both."""
CLUSTER_WIDE: dict[str, Any] = {}
NAMESPACED = {"watchNamespaces": [WATCHED]}
EACH_SCOPE = pytest.mark.parametrize("values", [CLUSTER_WIDE, NAMESPACED], ids=["cluster-wide", "watchNamespaces"])
LEADER, CLAIM, SECOND_CLAIM = "rl-router-operator", "rl-router-scope", "rl-router-scope-2"
SHORT = LeaseTerms(duration=4.0, renew_deadline=3.0, retry=0.4, renewal=1.0)
"""Periods of claims that are a tenth of the real ones or a little longer."""
RENEWALS = 4
"""More renewals than fit into the renew deadline."""


@dataclass
class Release:
    """A release of the chart. Only its service account and its permissions are installed."""

    server: ApiServer
    folder: Path
    name: str
    namespace: str
    values: dict[str, Any]

    def __post_init__(self) -> None:
        self.objects = render(self.values, self.name, "--no-hooks", "--namespace", self.namespace)
        pod = one(self.objects, "Deployment")["spec"]["template"]["spec"]
        self.account, self.arguments = pod["serviceAccountName"], pod["containers"][0]["args"]

    def install(self) -> None:
        """Creates the service account, its Roles and their bindings, and waits until they take effect."""
        self._create("ServiceAccount", f"/api/v1/namespaces/{self.namespace}/serviceaccounts")
        for kind in ("ClusterRole", "ClusterRoleBinding"):
            self._create(kind, f"{ROLES}/{kind.lower()}s")
        for kind in ("Role", "RoleBinding"):
            self._create(kind, ROLES + "/namespaces/{namespace}/" + f"{kind.lower()}s")
        permissions = self._one_permission_of_each_role()
        wait_until(lambda: all(self.may(*permission) for permission in permissions), "the Roles take effect")

    def may(self, verb: str, namespace: str, name: str = "") -> bool:
        """Returns whether the service account may do something with Leases. The namespace `*` means all namespaces."""
        attributes = {"verb": verb, "group": "coordination.k8s.io", "resource": "leases", "name": name}
        attributes["namespace"] = namespace.strip("*")
        account = f"system:serviceaccount:{self.namespace}:{self.account}"
        review = {"spec": {"user": account, "resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.server.request("POST", path, review)["status"]["allowed"])

    async def start(self, process: str) -> RunningOperator:
        """Starts an operator process with the chart's flags and the token of the service account."""
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{self.account}/token"
        token = self.server.request("POST", path, {"spec": {}})["status"]["token"]
        config = self.server.write_kubeconfig(self.server.url, token, self.folder / f"{process}.kubeconfig")
        flags = [*self.arguments, f"--kubeconfig={config}", "--host=127.0.0.1", "--lease-seconds=3"]
        settings = options.read(flags, {"POD_NAMESPACE": self.namespace, "POD_NAME": process})
        return await launch(replace(settings, port=0, claim_terms=SHORT))

    def _one_permission_of_each_role(self) -> list[tuple[str, str, str]]:
        """Returns a permission from each Role and ClusterRole, because each of them takes effect by itself."""
        watched = [("update", namespace, CLAIM) for namespace in self.values.get("watchNamespaces", [])]
        return [("update", self.namespace, LEADER), *(watched or [("watch", "*", "")])]

    def _create(self, kind: str, path: str) -> None:
        for manifest in of_kind(self.objects, kind):
            self.server.client.post(path.format(**manifest["metadata"]), json=manifest).raise_for_status()


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[ApiServer]:
    require(*API_SERVER)
    with installed(tmp_path) as server:
        for namespace in (OWN, WATCHED, OTHER):
            server.client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).raise_for_status()
        yield server


@pytest.fixture
def install(api_server: ApiServer, tmp_path: Path) -> Callable[..., Release]:
    """Installs the service account and the permissions of a release."""

    def installed_release(values: dict[str, Any], name: str = "rl-router", namespace: str = OWN) -> Release:
        release = Release(api_server, tmp_path, name, namespace, values)
        release.install()
        return release

    return installed_release


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Callable[[Release, str], Coroutine[Any, Any, RunningOperator]]]:
    """Starts operator processes, which stop at the end of the test."""
    async with AsyncExitStack() as stack:

        async def started(release: Release, process: str) -> RunningOperator:
            running = await release.start(process)
            stack.push_async_callback(running.stop)
            return running

        yield started


@pytest_asyncio.fixture
async def kube(api_server: ApiServer) -> AsyncIterator[Kube]:
    """The administrator's requests in the watched namespace."""
    headers = authorization(ADMIN)
    async with httpx.AsyncClient(base_url=api_server.url, verify=api_server.tls, headers=headers, timeout=30) as client:
        yield Kube(client, WATCHED)


NAMESPACES = ("*", OWN, WATCHED, OTHER)
"""The namespaces in which the permissions are checked. The namespace `*` means all namespaces."""
GRANTED = {
    "cluster-wide": {
        *(f"{verb} {namespace}" for verb in ("list", "watch") for namespace in NAMESPACES),
        f"create {OWN}",
        *(f"{verb} {OWN}/{name}" for verb in ("get", "update") for name in (LEADER, CLAIM, SECOND_CLAIM)),
    },
    "watchNamespaces": {
        f"create {OWN}",
        *(f"{verb} {OWN}/{LEADER}" for verb in ("get", "update")),
        f"create {WATCHED}",
        *(f"{verb} {WATCHED}/{name}" for verb in ("get", "update") for name in (CLAIM, SECOND_CLAIM)),
    },
}
"""The permissions for Leases in each scope."""
REQUESTS = [
    *product(("create", "list", "watch", "deletecollection"), NAMESPACES, ("",)),
    *product(("get", "update", "patch", "delete"), NAMESPACES, (LEADER, CLAIM, SECOND_CLAIM, "of-another-program")),
]
"""All requests for Leases, each with its verb, its namespace and the name of a Lease."""


@EACH_SCOPE
def test_the_operator_may_use_only_the_leases_of_its_scope(install: Callable[..., Release], values) -> None:
    release = install(values)
    granted = {
        f"{verb} {namespace}/{name}".strip("/")
        for verb, namespace, name in REQUESTS
        if release.may(verb, namespace, name)
    }
    assert granted == GRANTED["watchNamespaces" if values else "cluster-wide"]


@EACH_SCOPE
async def test_an_operator_with_these_permissions_renews_its_leases_and_a_standby_takes_over(
    kube: Kube, install: Callable[..., Release], start, caplog: pytest.LogCaptureFixture, values
) -> None:
    release = install(values)
    own = replace(kube, namespace=OWN)
    first = await start(release, "first")
    await kube.create(router())
    await eventually(lambda: _is_reconciled_by(kube, release), within=20)
    second = await start(release, "second")
    for process in (first, second):
        await eventually(lambda process=process: _holds(own, process))
        await _renews(own, LEADER)
        for _ in range(RENEWALS):
            await _renews(kube if values else own, CLAIM)
        await kube.delete("ConfigMap", "demo-api")
        await eventually(lambda: kube.existing("ConfigMap", "demo-api"))
        await process.stop()
    _nothing_was_forbidden(caplog)


async def test_two_releases_with_these_permissions_take_over_from_each_other(
    kube: Kube, install: Callable[..., Release], start, caplog: pytest.LogCaptureFixture
) -> None:
    cluster_wide = install(CLUSTER_WIDE)
    await start(cluster_wide, "cluster-wide")
    await kube.create(router())
    await eventually(lambda: _is_reconciled_by(kube, cluster_wide), within=20)

    namespaced = install({**NAMESPACED, "rbac": {"aggregateClusterRoles": False}}, "second", OTHER)
    second = await start(namespaced, "namespaced")
    await eventually(lambda: _is_reconciled_by(kube, namespaced), within=30)
    await second.stop()
    await eventually(lambda: _is_reconciled_by(kube, cluster_wide), within=30)
    _nothing_was_forbidden(caplog)


async def _is_reconciled_by(kube: Kube, release: Release) -> None:
    body = await kube.existing("RouterDeployment", "demo")
    assert body["status"]["operator"] == f"{release.namespace}/{release.name}"
    await kube.existing("Deployment", "demo-api")


async def _holds(own: Kube, process: RunningOperator) -> None:
    """Fails unless the process holds the Lease for leader election."""
    lease = await own.existing("Lease", LEADER)
    assert lease["spec"]["holderIdentity"] == process.operator.settings.identity


async def _renews(kube: Kube, name: str) -> None:
    before = await kube.existing("Lease", name)

    async def is_renewed() -> None:
        assert (await kube.existing("Lease", name))["spec"]["renewTime"] != before["spec"]["renewTime"]

    await eventually(is_renewed)


def _nothing_was_forbidden(caplog: pytest.LogCaptureFixture) -> None:
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
