"""Fixtures: a real API server, operators in this process, and a proxy between them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from rl_router_operator.cluster.lease import LeaseTerms
from rl_router_operator.controller.settings import Settings

from fakes.cluster.admission import CRDS, Admission
from fakes.cluster.control_plane import ADMIN, OPERATOR, RESTRICTED, ApiServer, authorization
from fakes.cluster.installation import ROLES, all_rules, grant, installed
from fakes.cluster.kube_client import Kube
from fakes.cluster.optional_kinds import OPTIONAL, crd_of
from fakes.cluster.programs import API_SERVER, require
from fakes.cluster.proxy import Proxy
from fakes.cluster.running_operator import RunningOperator, Start, launch
from fakes.cluster.waiting import wait_until

_NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that wait for minutes first, so that the other files run in parallel with them."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for all tests. Tests are skipped if its programs are missing."""
    require(*API_SERVER)
    with installed(tmp_path_factory.mktemp("control-plane")) as server:
        yield server


@pytest.fixture(scope="session")
def admission(api_server):
    """Sends RouterDeployments to the API server, which stores none of them."""
    return Admission(api_server)


@pytest_asyncio.fixture
async def kube(api_server: ApiServer) -> AsyncIterator[Kube]:
    """The administrator's requests in a new namespace."""
    namespace = f"test-{next(_NUMBERS)}"
    api_server.client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).raise_for_status()
    headers = authorization(ADMIN)
    async with httpx.AsyncClient(base_url=api_server.url, verify=api_server.tls, headers=headers, timeout=30) as client:
        yield Kube(client, namespace)


@pytest_asyncio.fixture
async def proxy(api_server: ApiServer) -> AsyncIterator[Proxy]:
    """The proxy between the operators and the API server."""
    running = Proxy(api_server)
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture
async def start(api_server: ApiServer, kube: Kube, proxy: Proxy, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts operators with changed settings, by default in the test's namespace. They stop at the test's end."""
    async with AsyncExitStack() as stack:

        async def started(*, user: str = OPERATOR, url: str = proxy.url, **changes: Any) -> RunningOperator:
            config = api_server.write_kubeconfig(url, user, tmp_path / f"{next(_NUMBERS)}.kubeconfig")
            running = await launch(replace(_settings(kube, config), **changes))
            stack.push_async_callback(running.stop)
            return running

        yield started


def _settings(kube: Kube, kubeconfig: Path) -> Settings:
    return Settings(
        kubeconfig=str(kubeconfig),
        namespaces=(kube.namespace,),
        own_namespace=kube.namespace,
        identity=f"operator-{next(_NUMBERS)}",
        lease_terms=LeaseTerms(duration=3.0, renew_deadline=2.0, retry=0.3),
        host="127.0.0.1",
        port=0,
        discovery_seconds=1.0,
    )


@pytest.fixture
def restrict(api_server: ApiServer) -> Iterator[Callable[[Callable[[str, str, str], bool]], str]]:
    """Grants a user the operator's permissions without those for which a function of (group, resource, verb) is true.

    Returns the user's token.
    """

    def without(is_revoked: Callable[[str, str, str], bool]) -> str:
        rules = []
        for rule in all_rules():
            group, resource = rule["apiGroups"][0], rule["resources"][0]
            if verbs := [verb for verb in rule["verbs"] if not is_revoked(group, resource, verb)]:
                rules.append({**rule, "verbs": verbs})
        grant(api_server, "restricted", rules)
        return RESTRICTED

    yield without
    for plural in ("clusterrolebindings", "clusterroles"):
        api_server.client.delete(f"{ROLES}/{plural}/restricted")


@pytest.fixture
def install(api_server: ApiServer, uninstall: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Creates the CRD of an optional kind, until the test's end. Other kinds exist already."""

    def installed_kind(kind: str) -> None:
        if kind in OPTIONAL:
            api_server.client.post(CRDS, json=crd_of(kind)).raise_for_status()

    yield installed_kind
    for kind in OPTIONAL:
        uninstall(kind)


@pytest.fixture
def uninstall(api_server: ApiServer) -> Callable[[str], None]:
    """Deletes the CRD of an optional kind with all its objects, and waits until it is gone."""

    def uninstalled(kind: str) -> None:
        path = f"{CRDS}/{crd_of(kind)['metadata']['name']}"
        api_server.client.delete(path)
        wait_until(lambda: api_server.client.get(path).status_code == 404, f"{kind} is gone")

    return uninstalled
