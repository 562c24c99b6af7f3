"""What the operator's tests share: a real API server, an operator in this process, its requests through a proxy."""

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
from admission import Admission
from control_plane import ADMIN, OPERATOR, RESTRICTED, ApiServer, authorization
from faults import Proxy
from harness import Kube, Running, Start, launch
from prepared import ROLES, grant, prepared
from programs import API_SERVER, need
from rl_router_operator import rbac
from rl_router_operator.cluster.leader_election import LeaseTerms
from rl_router_operator.controller.settings import Settings

_NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that wait for minutes first: the others then run beside them, not before them."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One for all tests; skipped where its programs are missing."""
    need(*API_SERVER)
    with prepared(tmp_path_factory.mktemp("control-plane")) as server:
        yield server


@pytest.fixture(scope="session")
def admission(api_server):
    """The API server as the judge of RouterDeployments; nothing that it takes is kept."""
    return Admission(api_server)


@pytest_asyncio.fixture
async def kube(api_server: ApiServer) -> AsyncIterator[Kube]:
    """An empty namespace, and an administrator in it."""
    namespace = f"test-{next(_NUMBERS)}"
    api_server.client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).raise_for_status()
    headers = authorization(ADMIN)
    async with httpx.AsyncClient(base_url=api_server.url, verify=api_server.tls, headers=headers, timeout=30) as client:
        yield Kube(client, namespace)


@pytest_asyncio.fixture
async def proxy(api_server: ApiServer) -> AsyncIterator[Proxy]:
    """What stands between the operator and the API server."""
    made = Proxy(api_server)
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def start(api_server: ApiServer, kube: Kube, proxy: Proxy, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts operators, in the test's namespace unless told otherwise; they end with the test."""
    async with AsyncExitStack() as stack:

        async def started(*, user: str = OPERATOR, url: str = proxy.url, **changes: Any) -> Running:
            config = api_server.write_kubeconfig(url, user, tmp_path / f"{next(_NUMBERS)}.kubeconfig")
            given = replace(_settings(kube, config), **changes)
            running = await launch(given)
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
    """Grants a user what the operator may do but for what is taken away, by (group, resource, verb); its token."""

    def without(is_taken: Callable[[str, str, str], bool]) -> str:
        rules = []
        for rule in (*rbac.operator_rules(), *rbac.lease_rules()):
            where = rule["apiGroups"][0], rule["resources"][0]
            if verbs := [verb for verb in rule["verbs"] if not is_taken(*where, verb)]:
                rules.append({**rule, "verbs": verbs})
        grant(api_server, "restricted", rules)
        return RESTRICTED

    yield without
    for plural in ("clusterrolebindings", "clusterroles"):
        api_server.client.delete(f"{ROLES}/{plural}/restricted")
