"""Operators of several releases never act on the same RouterDeployment, whatever their scopes.

Each release has its own namespace, its own default image and its own proxy, which shows what it writes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from rl_router_operator.cluster.claims import CLAIM_TERMS
from rl_router_operator.cluster.lease import LeaseTerms
from rl_router_operator.objects.claims import SCOPE_LABEL
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import ROUTER_LABEL
from rl_router_operator.resources.defaults import Defaults, Images

from fakes.cluster.control_plane import ApiServer
from fakes.cluster.kube_client import Kube
from fakes.cluster.operator_process import OperatorProcess, operator_process
from fakes.cluster.proxy import Proxy, Recorded
from fakes.cluster.routers import FULL_CHILDREN, FULL_SPEC, router
from fakes.cluster.running_operator import RunningOperator, Start
from fakes.cluster.waiting import eventually

WATCHED_SECONDS = 4.0
SHORT = LeaseTerms(duration=4.0, renew_deadline=3.0, retry=0.4, renewal=1.0)
"""Periods of claims that are a tenth of the real ones or a little longer."""
CLUSTER, NAMESPACE, OWN = "cluster-wide", "watchNamespaces", "cluster-wide in the watched namespace"
PAIRS = [(CLUSTER, NAMESPACE), (NAMESPACE, NAMESPACE), (CLUSTER, CLUSTER), (OWN, NAMESPACE)]
"""The scopes of two releases."""
ORDERS = [*PAIRS, (NAMESPACE, CLUSTER), (NAMESPACE, OWN)]
"""The scopes of two releases, in both orders of arrival."""


@dataclass
class Release:
    """A release that watches the test's namespace or the whole cluster."""

    name: str
    scope: str
    watched: Kube
    proxy: Proxy

    @property
    def own_namespace(self) -> str:
        return self.watched.namespace if self.scope == OWN else f"{self.watched.namespace}-{self.name}"

    @property
    def operator(self) -> str:
        """The release as `status.operator` names it."""
        return f"{self.own_namespace}/{self.name}"

    @property
    def image(self) -> str:
        return f"example.com/api:{self.name}"

    @property
    def claimed(self) -> str:
        """The namespaces that the release claims, as the metric names them."""
        return self.watched.namespace if self.scope == NAMESPACE else "*"

    def writes(self) -> list[Recorded]:
        """The writes in the watched namespace, except those to Leases."""
        return [request for request in self.proxy.writes() if f"/{self.watched.namespace}/" in request.path]

    async def started(self, start: Start, claim_terms: LeaseTerms = SHORT) -> RunningOperator:
        """Starts an operator of the release, whose claim is younger than all existing claims."""
        await eventually(lambda: _no_claim_is_of_this_second(self.watched))
        return await start(
            url=self.proxy.url,
            own_namespace=self.own_namespace,
            namespaces=(self.watched.namespace,) if self.scope == NAMESPACE else (),
            release=self.name,
            claim_terms=claim_terms,
            defaults=Defaults(images=Images(api=self.image)),
        )


Arrange = Callable[[str, str], Awaitable[tuple[Release, Release]]]


@pytest_asyncio.fixture
async def releases(api_server: ApiServer, kube: Kube) -> AsyncIterator[Arrange]:
    """Returns two releases of two scopes. The test's RouterDeployments are deleted at the end.

    The claims of the operators of earlier tests are deleted first, because they are older and still valid for a while.
    """
    await _delete_claims(kube)
    async with AsyncExitStack() as stack:

        async def release(name: str, scope: str) -> Release:
            proxy = Proxy(api_server)
            await proxy.start()
            stack.push_async_callback(proxy.stop)
            arranged = Release(name, scope, kube, proxy)
            if scope != OWN:
                namespace = {"metadata": {"name": arranged.own_namespace}}
                (await kube.client.post("/api/v1/namespaces", json=namespace)).raise_for_status()
            return arranged

        async def arranged(one: str, two: str) -> tuple[Release, Release]:
            return await release("one", one), await release("two", two)

        yield arranged
        for body in await kube.list("RouterDeployment"):
            await kube.delete("RouterDeployment", body["metadata"]["name"])


async def _claims(kube: Kube) -> list[Manifest]:
    listed = await kube.client.get("/apis/coordination.k8s.io/v1/leases", params={"labelSelector": SCOPE_LABEL})
    leases: list[Manifest] = listed.raise_for_status().json()["items"]
    return leases


async def _no_claim_is_of_this_second(kube: Kube) -> None:
    """Fails if a claim was created in the current second, because the API server stores whole seconds."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert now not in [lease["metadata"]["creationTimestamp"] for lease in await _claims(kube)]


async def _delete_claims(kube: Kube) -> None:
    for lease in await _claims(kube):
        path = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}".format_map(lease["metadata"])
        (await kube.client.delete(path)).raise_for_status()


@pytest_asyncio.fixture(autouse=True)
async def stop_operators_first(releases: Arrange, start: Start):
    """Orders the fixtures: the operators stop before their proxies."""


# Who acts


def _expected(one: Release, two: Release) -> tuple[Release, Release]:
    """Returns the acting release and the other one. The first one acts if both have the same scope."""
    return (two, one) if two.scope == NAMESPACE != one.scope else (one, two)


@pytest.mark.parametrize(("first_scope", "second_scope"), ORDERS)
async def test_one_of_two_releases_acts_and_the_other_says_to_whom_it_yields(
    kube: Kube, start: Start, releases: Arrange, caplog, first_scope: str, second_scope: str
):
    caplog.set_level(logging.INFO)
    one, two = await releases(first_scope, second_scope)
    first = await one.started(start)
    await kube.create(router(**FULL_SPEC))
    await eventually(lambda: _is_complete(kube, one), within=30)
    second = await two.started(start)

    acting, yielding = _expected(one, two)
    await eventually(lambda: _is_complete(kube, acting), within=30)
    await _is_settled(kube)
    before, generations = len(yielding.writes()), await _generations(kube)
    await kube.delete("ConfigMap", "demo-api")
    await eventually(lambda: kube.existing("ConfigMap", "demo-api"))
    await asyncio.sleep(WATCHED_SECONDS)
    assert await _generations(kube) == generations
    assert yielding.writes()[before:] == []
    await _says_to_whom_it_yields(first if yielding is one else second, yielding, acting, caplog)


async def _is_complete(kube: Kube, release: Release) -> None:
    """Fails unless all children exist, and the API has the release's default image."""
    body = await kube.existing("RouterDeployment", "demo")
    assert body["status"]["operator"] == release.operator
    for ref in FULL_CHILDREN:
        await kube.existing(*ref)
    live = await kube.existing("Deployment", "demo-api")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == release.image


async def _generations(kube: Kube) -> dict[str, int]:
    kinds = sorted({kind for kind, _ in FULL_CHILDREN} - {"ConfigMap"})
    bodies = [body for kind in kinds for body in await kube.list(kind, ROUTER_LABEL)]
    return {body["metadata"]["uid"]: body["metadata"].get("generation", 0) for body in bodies}


async def _is_settled(kube: Kube) -> None:
    """Waits until the generations stay the same for a second."""

    async def is_unchanged() -> None:
        before = await _generations(kube)
        await asyncio.sleep(1)
        assert await _generations(kube) == before

    await eventually(is_unchanged, within=30)


async def _says_to_whom_it_yields(running: RunningOperator, yielding: Release, acting: Release, caplog) -> None:
    assert (await running.get("/readyz")).status_code == 200
    labels = f'namespace="{acting.claimed}",operator="{acting.operator}"'
    assert f"rl_router_operator_yielding{{{labels}}} 1.0" in (await running.get("/metrics")).text
    message = f"this operator leaves the RouterDeployments in the namespace to the operator {acting.operator}"
    assert [record.message for record in caplog.records].count(message) == 1


# Who takes over


async def _stopped(process: OperatorProcess) -> None:
    process.signal(signal.SIGTERM)
    await process.ended()


async def _killed(process: OperatorProcess) -> None:
    process.signal(signal.SIGKILL)


async def _frozen(process: OperatorProcess) -> None:
    process.signal(signal.SIGSTOP)


@pytest.mark.parametrize("end", [_stopped, _killed, _frozen], ids=lambda end: end.__name__.strip("_"))
@pytest.mark.parametrize(("first_scope", "second_scope"), PAIRS)
async def test_the_other_release_takes_over_when_the_acting_one_ends(
    api_server: ApiServer, kube: Kube, start: Start, releases: Arrange, tmp_path: Path, first_scope, second_scope, end
):
    acting, other = _expected(*await releases(first_scope, second_scope))
    async with _process(api_server, acting, tmp_path) as process:
        await kube.create(router(**FULL_SPEC))
        await eventually(lambda: _is_complete(kube, acting), within=30)
        running = await other.started(start)
        await eventually(lambda: _yields_to(running, acting))
        assert other.writes() == []

        await end(process)
        await kube.create(router("late", **FULL_SPEC))
        await eventually(lambda: _is_complete(kube, other), within=30)
        await eventually(lambda: _has_one_set_of_children(kube, other), within=30)


def _process(api_server: ApiServer, release: Release, folder: Path):
    flags = [f"--release={release.name}", f"--api-image={release.image}"]
    if release.scope == NAMESPACE:
        flags.append(f"--watch-namespaces={release.watched.namespace}")
    return operator_process(api_server, release.watched, release.proxy, folder, flags, release.own_namespace, SHORT)


async def _yields_to(running: RunningOperator, acting: Release) -> None:
    assert f'operator="{acting.operator}"' in (await running.get("/metrics")).text


async def _has_one_set_of_children(kube: Kube, release: Release) -> None:
    assert (await kube.existing("RouterDeployment", "late"))["status"]["operator"] == release.operator
    children = [(kind, name.replace("demo", "late")) for kind, name in FULL_CHILDREN]
    for kind, name in children:
        live = await kube.existing(kind, name)
        assert live["metadata"].get("generation", 1) == 1
        assert name in [body["metadata"]["name"] for body in await kube.list(kind, f"{ROUTER_LABEL}=late")]


async def test_a_release_that_resumes_after_another_took_its_namespace_writes_nothing(
    api_server: ApiServer, kube: Kube, start: Start, releases: Arrange, tmp_path: Path
):
    acting, other = await releases(NAMESPACE, NAMESPACE)
    async with _process(api_server, acting, tmp_path) as process:
        await kube.create(router(**FULL_SPEC))
        await eventually(lambda: _is_complete(kube, acting), within=30)
        await other.started(start)
        process.signal(signal.SIGSTOP)
        await eventually(lambda: _is_complete(kube, other), within=30)
        before = len(acting.writes())
        process.signal(signal.SIGCONT)
        await kube.delete("ConfigMap", "demo-api")
        await eventually(lambda: kube.existing("ConfigMap", "demo-api"))
        await asyncio.sleep(WATCHED_SECONDS)
        assert acting.writes()[before:] == []
        await _is_complete(kube, other)


async def test_a_restart_of_the_acting_release_changes_nothing(kube: Kube, start: Start, releases: Arrange):
    acting, other = await releases(NAMESPACE, NAMESPACE)
    first = await acting.started(start, CLAIM_TERMS)
    await kube.create(router(**FULL_SPEC))
    await eventually(lambda: _is_complete(kube, acting), within=30)
    await _is_settled(kube)
    running = await other.started(start, CLAIM_TERMS)
    await eventually(lambda: _yields_to(running, acting))
    before = len(acting.writes())
    await first.stop()
    await acting.started(start, CLAIM_TERMS)
    await asyncio.sleep(WATCHED_SECONDS)
    assert acting.writes()[before:] == other.writes() == []


@pytest.mark.parametrize("other_scope", [CLUSTER, NAMESPACE])
async def test_a_deleted_claim_belongs_to_its_holder_until_it_would_have_expired(
    kube: Kube, start: Start, releases: Arrange, other_scope: str
):
    acting, other = await releases(NAMESPACE, other_scope)
    await acting.started(start)
    await kube.create(router(**FULL_SPEC))
    await eventually(lambda: _is_complete(kube, acting), within=30)
    running = await other.started(start)
    await eventually(lambda: _yields_to(running, acting))
    await kube.delete("Lease", "rl-router-scope")
    await eventually(lambda: kube.existing("Lease", "rl-router-scope"))
    await asyncio.sleep(WATCHED_SECONDS)
    assert other.writes() == []
    await _is_complete(kube, acting)


# A cluster-wide operator that cannot observe the claims


def _silent_watch(request: Recorded) -> web.Response | None:
    """Accepts a watch of the claims and sends no changes. The bookmark makes the proxy send the response's headers."""

    async def only_a_bookmark() -> AsyncIterator[bytes]:
        metadata = {"resourceVersion": request.query["resourceVersion"]}
        yield json.dumps({"type": "BOOKMARK", "object": {"metadata": metadata}}).encode() + b"\n"
        await asyncio.sleep(60)

    return web.Response(body=only_a_bookmark()) if request.is_watch and request.plural == "leases" else None


async def test_a_cluster_wide_operator_whose_watch_of_the_claims_is_silent_writes_nothing(
    kube: Kube, start: Start, releases: Arrange, caplog
):
    release, _ = await releases(CLUSTER, CLUSTER)
    running = await release.started(start)
    await kube.create(router(**FULL_SPEC))
    await eventually(lambda: _is_complete(kube, release), within=30)
    release.proxy.faults.append(_silent_watch)
    release.proxy.close_watches()
    await eventually(lambda: _is_blind(caplog))
    before = len(release.writes())
    await kube.delete("ConfigMap", "demo-api")
    await asyncio.sleep(WATCHED_SECONDS)
    assert release.writes()[before:] == []
    assert (await running.get("/readyz")).text == "leader\n"

    release.proxy.faults.clear()
    release.proxy.close_watches()
    await eventually(lambda: kube.existing("ConfigMap", "demo-api"))


def _is_blind(caplog) -> None:
    assert "the operator writes only Leases" in caplog.text
