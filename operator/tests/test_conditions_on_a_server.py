"""Every reason of a condition on a real API server, from the fault to its solution. Only the pods are fake."""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from rl_router_operator.controller.pod_health import ProbeIntervals
from rl_router_operator.controller.settings import Settings
from rl_router_operator.objects.observed import Health
from rl_router_operator.status.reasons import Reason

from fakes.cluster.admission import CRDS, ROUTERS
from fakes.cluster.condition_cases import CASES, Case
from fakes.cluster.conditions import HEALTHY, condition_of
from fakes.cluster.control_plane import ADMIN, OPERATOR, ApiServer, authorization
from fakes.cluster.health import health, healthy
from fakes.cluster.installation import installed
from fakes.cluster.kube_client import Kube
from fakes.cluster.programs import API_SERVER, require
from fakes.cluster.proxy import Proxy
from fakes.cluster.routers import router
from fakes.cluster.running_operator import RunningOperator, launch
from fakes.cluster.simulation import Simulation
from fakes.cluster.waiting import eventually, wait_until

PROBE_SECONDS = 0.05
"""The time between two probes of a pod by the operator."""
in_one_loop = pytest.mark.asyncio(loop_scope="module")
_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    """An API server for these tests, whose CRD is of a later release than the operator."""
    require(*API_SERVER)
    with installed(tmp_path_factory.mktemp("conditions")) as started:
        add_a_later_field(started)
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(
    server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Proxy, RunningOperator]]:
    """An operator that probes often, and its proxy."""
    proxy = Proxy(server)
    await proxy.start()
    config = server.write_kubeconfig(proxy.url, OPERATOR, tmp_path_factory.mktemp("operator") / "kubeconfig")
    running = await launch(settings(config))
    yield proxy, running
    await running.stop()
    await proxy.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def simulation(server: ApiServer, operator: tuple[Proxy, RunningOperator]) -> AsyncIterator[Simulation]:
    """A namespace for the test. Its router is deleted at the end."""
    namespace = f"conditions-{next(_NUMBERS)}"
    server.client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).raise_for_status()
    headers = authorization(ADMIN)
    async with httpx.AsyncClient(base_url=server.url, verify=server.tls, headers=headers, timeout=30) as client:
        kube = Kube(client, namespace)
        yield Simulation(kube, *operator)
        await kube.delete("RouterDeployment", "demo")


def settings(kubeconfig: Path) -> Settings:
    return Settings(
        kubeconfig=str(kubeconfig),
        probe_intervals=ProbeIntervals(settled=PROBE_SECONDS, unsettled=PROBE_SECONDS),
        host="127.0.0.1",
        port=0,
        discovery_seconds=PROBE_SECONDS,
    )


def add_a_later_field(server: ApiServer) -> None:
    """Adds `spec.later` to the CRD, which the operator does not know."""
    path = f"{CRDS}/routerdeployments.rlrouter.dev"
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/later"
    content = json.dumps([{"op": "add", "path": field, "value": {"type": "string"}}])
    headers = {"Content-Type": "application/json-patch+json"}
    server.client.patch(path, content=content, headers=headers).raise_for_status()
    query = "?dryRun=All&fieldValidation=Strict"
    wait_until(lambda: server.client.post(ROUTERS + query, json=router(later="x")).status_code == 201, "spec.later")


async def is_shown(simulation: Simulation, reason: Reason, case: Case) -> None:
    """Waits for the condition, and checks that its message has the cause and the remedy."""
    status = await simulation.wait_for({case.type: (case.status, str(reason))})
    message = condition_of(status, case.type)["message"]
    assert case.message in message
    assert (Reason.CRASH_LOOPING if reason is Reason.ROLLOUT_STUCK else reason).remedy in message


def test_every_reason_has_a_case() -> None:
    assert {*CASES, *(Reason(reason) for _, reason in HEALTHY.values())} == set(Reason)


@pytest.mark.parametrize("reason", CASES)
@in_one_loop
async def test_each_reason_appears_stays_without_further_writes_and_goes_away(
    simulation: Simulation, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason is Reason.DELETION_STUCK:
        # The API server sets the time of a deletion, so the test cannot set an earlier time.
        child_faults = importlib.import_module("rl_router_operator.status.child_faults")
        monkeypatch.setattr(child_faults, "DELETION_PATIENCE", timedelta(0))
    case = CASES[reason]
    await simulation.create(**case.spec)
    await case.cause(simulation)
    await is_shown(simulation, reason, case)
    await simulation.wait_until_idle()
    await is_shown(simulation, reason, case)
    await case.resolve(simulation)
    await simulation.wait_for(HEALTHY)


@in_one_loop
async def test_a_report_counts_after_two_equal_probes(simulation: Simulation) -> None:
    await simulation.create()
    await simulation.make_ready()
    await simulation.wait_for(HEALTHY)
    await simulation.wait_until_idle()
    before, left = simulation.status_writes(), [healthy(), health(router_model="wrote prose")] * 5
    simulation.report(in_turn(left))
    await eventually(lambda: is_empty(left))
    assert simulation.status_writes() == before
    simulation.report(health(router_model="wrote prose"))
    await simulation.wait_for({"ModelReady": ("False", "NotDeciding")})


def in_turn(left: list[Health]) -> Iterator[Health]:
    """Yields and removes the last report until none is left, then the first report forever."""
    first = left[0]
    while left:
        yield left.pop()
    yield from itertools.repeat(first)


def is_empty(left: list[Health]) -> None:
    assert not left


@in_one_loop
async def test_a_fault_that_recurs_has_one_event(simulation: Simulation) -> None:
    await simulation.create()
    await simulation.make_ready()
    await simulation.wait_for(HEALTHY)
    for _ in range(2):
        simulation.report(health(router_model="wrote prose"))
        await simulation.wait_for({"ModelReady": ("False", "NotDeciding")})
        simulation.report(healthy())
        await simulation.wait_for(HEALTHY)
    await simulation.wait_until_idle()
    assert await simulation.events("Ready") == [("Normal", "Serving")]
    assert await simulation.events("ModelReady") == [("Warning", "NotDeciding")]
