"""Every reason, from the failure to the condition and back: pods are the test's, all else is real."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from admission import DEFINITIONS, ROUTERS
from control_plane import ADMIN, OPERATOR, ApiServer, authorization
from eventually import eventually as wait_until
from failures import CASES, Case
from faults import Proxy
from harness import Kube, Running, eventually, launch, router
from prepared import prepared
from programs import API_SERVER, need
from rl_router_operator.controller.pod_health import ProbeIntervals
from rl_router_operator.controller.settings import Settings
from rl_router_operator.objects.observed import Health
from rl_router_operator.status.reasons import Reason
from stage import WELL, Stage
from world import health, healthy, of

OFTEN = 0.05
"""Seconds between two looks of the operator."""
in_one_loop = pytest.mark.asyncio(loop_scope="module")
_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    """One of these tests' own, whose definition of RouterDeployments is of a later release than the operator."""
    need(*API_SERVER)
    with prepared(tmp_path_factory.mktemp("conditions")) as made:
        know_a_later_field(made)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Proxy, Running]]:
    """An operator that looks often, and the proxy that it writes through."""
    proxy = Proxy(server)
    await proxy.start()
    config = server.write_kubeconfig(proxy.url, OPERATOR, tmp_path_factory.mktemp("operator") / "kubeconfig")
    running = await launch(settings(config))
    yield proxy, running
    await running.stop()
    await proxy.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(server: ApiServer, operator: tuple[Proxy, Running]) -> AsyncIterator[Stage]:
    """A namespace of the test's own, in which nothing is left to be looked at afterwards."""
    namespace = f"conditions-{next(_NUMBERS)}"
    server.client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).raise_for_status()
    headers = authorization(ADMIN)
    async with httpx.AsyncClient(base_url=server.url, verify=server.tls, headers=headers, timeout=30) as client:
        made = Stage(Kube(client, namespace), *operator)
        yield made
        await made.kube.delete("RouterDeployment", "demo")


def settings(kubeconfig: Path) -> Settings:
    return Settings(
        kubeconfig=str(kubeconfig),
        probe_intervals=ProbeIntervals(settled=OFTEN, unsettled=OFTEN),
        host="127.0.0.1",
        port=0,
        discovery_seconds=OFTEN,
    )


def know_a_later_field(server: ApiServer) -> None:
    path = f"{DEFINITIONS}/routerdeployments.rlrouter.dev"
    where = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/later"
    content = json.dumps([{"op": "add", "path": where, "value": {"type": "string"}}])
    headers = {"Content-Type": "application/json-patch+json"}
    server.client.patch(path, content=content, headers=headers).raise_for_status()
    trial = router(later="x")
    query = "?dryRun=All&fieldValidation=Strict"
    wait_until(lambda: server.client.post(ROUTERS + query, json=trial).status_code == 201, "the field is known")


async def expected(stage: Stage, reason: Reason, case: Case) -> None:
    """Waits for the condition; the message has the cause, and what to do about it."""
    status = await stage.shows({case.type: (case.status, str(reason))})
    message = of(status, case.type)["message"]
    assert case.words in message
    assert (Reason.CRASH_LOOPING if reason is Reason.ROLLOUT_STUCK else reason).remedy in message


def test_every_reason_is_reached_here() -> None:
    assert {*CASES, *(Reason(reason) for _, reason in WELL.values())} == set(Reason)


@pytest.mark.parametrize("reason", CASES)
@in_one_loop
async def test_a_reason_is_reached_stays_without_a_write_and_is_healed(stage: Stage, reason: Reason) -> None:
    case = CASES[reason]
    await stage.open(**case.spec)
    await case.happens(stage)
    await expected(stage, reason, case)
    await stage.rests()
    await expected(stage, reason, case)
    await case.mended(stage)
    await stage.shows(WELL)


@in_one_loop
async def test_an_answer_counts_once_it_was_given_twice(stage: Stage) -> None:
    await stage.open()
    await stage.serve()
    await stage.shows(WELL)
    await stage.rests()
    before, left = stage.told(), [healthy(), health(router_model="wrote prose")] * 5
    stage.say(in_turn(left))
    await eventually(lambda: is_empty(left))
    assert stage.told() == before
    stage.say(health(router_model="wrote prose"))
    await stage.shows({"ModelReady": ("False", "NotDeciding")})


def in_turn(left: list[Health]) -> Iterator[Health]:
    """The last of what is left, and the first again and again."""
    first = left[0]
    while left:
        yield left.pop()
    yield from itertools.repeat(first)


def is_empty(left: list[Health]) -> None:
    assert not left


@in_one_loop
async def test_the_same_is_told_by_one_event_however_often_it_comes_and_goes(stage: Stage) -> None:
    await stage.open()
    await stage.serve()
    await stage.shows(WELL)
    for _ in range(2):
        stage.say(health(router_model="wrote prose"))
        await stage.shows({"ModelReady": ("False", "NotDeciding")})
        stage.say(healthy())
        await stage.shows(WELL)
    await stage.rests()
    assert await stage.events("Ready") == [("Normal", "Serving")]
    assert await stage.events("ModelReady") == [("Warning", "NotDeciding")]
