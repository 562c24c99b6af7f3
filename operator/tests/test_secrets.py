"""Secrets appear in children only by reference, and are redacted in the status, Events and the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from rl_router_operator.controller.pod_health import ProbeIntervals
from rl_router_operator.log import LOG, JsonLines
from rl_router_operator.objects.kinds import KINDS
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import ROUTER_LABEL
from rl_router_operator.objects.observed import Health

from fakes.cluster.health import health
from fakes.cluster.kube_client import Kube
from fakes.cluster.pods import Pod, api_pod, crash_looping, event, waiting
from fakes.cluster.proxy import Proxy, error
from fakes.cluster.routers import router
from fakes.cluster.running_operator import Start
from fakes.cluster.scenario import TARGETS
from fakes.cluster.simulation import Simulation
from fakes.cluster.waiting import eventually

PROBE_OFTEN = ProbeIntervals(settled=0.1, unsettled=0.1)
KEY = {"name": "vault", "key": "entry"}
HOSTED = {"source": "hf://org/name"}
VARIABLE = [{"name": "OTHER_KEY", "valueFrom": {"secretKeyRef": KEY}}]
MOUNTED = {"volumes": [{"name": "more", "secret": {"secretName": "vault"}}]}
FILE = {
    ("Deployment", "spec.template.spec.volumes.projected.sources.secret.name"),
    ("Deployment", "spec.template.spec.containers.volumeMounts.mountPath"),
    ("ConfigMap", "data.router.yaml"),
}
CONTAINER = "spec.template.spec.containers"
REFERENCES: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "a target's key": (
        {"targets": [{**TARGETS[0], "apiKeySecretRef": KEY}]},
        FILE,
    ),
    "the key of an external model": (
        {"model": {"external": {"baseUrl": "https://models.example/v1", "apiKeySecretRef": KEY}}},
        FILE,
    ),
    "the clients' keys": ({"api": {"auth": {"secretRef": {"name": "vault"}}}}, FILE),
    "the hub's token": (
        {"model": {**HOSTED, "hfTokenSecretRef": KEY}},
        {("StatefulSet", f"{CONTAINER}.env.valueFrom.secretKeyRef.name")},
    ),
    "a variable of the model": (
        {"model": {"env": VARIABLE}},
        {("StatefulSet", f"{CONTAINER}.env.valueFrom.secretKeyRef.name")},
    ),
    "a variable of the API": (
        {"api": {"env": VARIABLE}},
        {("Deployment", f"{CONTAINER}.env.valueFrom.secretKeyRef.name")},
    ),
    "certificate authorities": (
        {"api": {"caBundle": {"secretKeyRef": KEY}}},
        {("Deployment", "spec.template.spec.volumes.projected.sources.secret.name")},
    ),
    "the model's registry": (
        {"model": {"imagePullSecrets": [{"name": "vault"}]}},
        {("StatefulSet", "spec.template.spec.imagePullSecrets.name")},
    ),
    "the API's registry": (
        {"api": {"imagePullSecrets": [{"name": "vault"}]}},
        {("Deployment", "spec.template.spec.imagePullSecrets.name")},
    ),
    "a volume of the model": (
        {"model": {"podTemplate": MOUNTED}},
        {("StatefulSet", "spec.template.spec.volumes.secret.secretName")},
    ),
    "a host's certificate": (
        {"api": {"auth": {"anonymous": True}, "ingress": {"host": "a.example.com", "tlsSecretName": "vault"}}},
        {("Ingress", "spec.tls.secretName")},
    ),
}
LITERAL_SECRETS = {
    "a header's name in capitals": {"targets": [{**TARGETS[0], "headers": {"X-API-KEY": "sk-literal"}}]},
    "a proxy's header": {"targets": [{**TARGETS[0], "headers": {"Proxy-Authorization": "Basic c2VjcmV0"}}]},
    "a cookie": {"targets": [{**TARGETS[0], "headers": {"Cookie": "session=secret"}}]},
    "a token in the query": {"targets": [{**TARGETS[0], "query": {"access_token": "secret"}}]},
    "a signature in the query": {"targets": [{**TARGETS[0], "query": {"sig": "secret"}}]},
    "a user in a target's URL": {"targets": [{"name": "a", "baseUrl": "https://user:secret@a.example/v1"}]},
    "a key in a target's URL": {"targets": [{"name": "a", "baseUrl": "https://a.example/v1?key=secret"}]},
    "a user in the model's URL": {"model": {"external": {"baseUrl": "https://secret@a.example/v1"}}},
    "a flag with a key": {"model": {**HOSTED, "extraArgs": ["--api_key", "secret"]}},
    "a flag with the hub's token": {"model": {**HOSTED, "extraArgs": ["--hf_token=secret"]}},
    "a variable of the API": {"api": {"env": [{"name": "OPENAI_API_KEY", "value": "secret"}]}},
    "a variable of the model": {"model": {"env": [{"name": "DB_PASSWORD", "value": "secret"}]}},
    "a proxy's password": {"api": {"env": [{"name": "HTTPS_PROXY", "value": "http://user:secret@proxy:3128"}]}},
}
TOKENS = ("eyJzZWNyZXQiOiJ5ZXMifQ.c2lnbmVk", "hf_QwErTyUiOpAsDfGhJkLzXcVbNm", "sk-proj-Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2")
MESSAGE = "begin: Authorization: Bearer {} and {} and {}, end".format(*TOKENS)


@pytest.fixture
def log() -> Iterator[Callable[[], str]]:
    """Returns the lines that were logged since the test started, in the format of the operator's pod."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    level = LOG.level
    logging.getLogger().addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    yield stream.getvalue
    LOG.setLevel(level)
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def simulate(kube: Kube, proxy: Proxy, start: Start) -> Callable[[], Awaitable[Simulation]]:
    """Starts an operator that probes often."""

    async def simulated() -> Simulation:
        return Simulation(kube, proxy, await start(probe_intervals=PROBE_OFTEN, discovery_seconds=0.1))

    return simulated


@pytest.mark.parametrize("place", REFERENCES)
async def test_children_name_a_secret_only_in_the_fields_that_kubernetes_reads(
    simulate: Callable[[], Awaitable[Simulation]], place: str
) -> None:
    spec, expected = REFERENCES[place]
    simulation = await simulate()
    await simulation.kube.client.post(f"/api/v1/namespaces/{simulation.kube.namespace}/secrets", json=vault())
    await simulation.create(**spec)
    await eventually(lambda: is_mentioned(simulation.kube, expected))
    await simulation.wait_until_idle()
    assert "secret-value" not in json.dumps([await children(simulation.kube), await simulation.kube.list("Event")])
    assert not [request for request in simulation.proxy.requests if "/secrets" in request.path]


@pytest.mark.parametrize("place", LITERAL_SECRETS)
async def test_a_literal_secret_is_rejected(kube: Kube, place: str) -> None:
    response = await kube.client.post(kube.path("RouterDeployment"), json=router(**LITERAL_SECRETS[place]))
    assert response.status_code == 422, response.text


async def model_exits(simulation: Simulation) -> None:
    await simulation.put_pod(Pod(**crash_looping(f"ValueError: {MESSAGE}")))


async def image_cannot_be_pulled(simulation: Simulation) -> None:
    await simulation.put_pod(Pod(state=waiting("ErrImagePull", MESSAGE)))


async def pod_is_evicted(simulation: Simulation) -> None:
    await simulation.put_pod(Pod(phase="Failed", reason="Evicted", message=MESSAGE))


async def volume_is_missing(simulation: Simulation) -> None:
    await simulation.put_pod(Pod(state=waiting("ContainerCreating")))
    await simulation.create_event(event("Pod", "demo-model-0", "FailedMount", MESSAGE))


async def pods_are_rejected(simulation: Simulation) -> None:
    await simulation.create_event(event("StatefulSet", "demo-model", "FailedCreate", MESSAGE))


async def child_is_rejected(simulation: Simulation) -> None:
    simulation.proxy.faults.append(
        lambda request: error(403, message=MESSAGE) if request.plural == "ingresses" and request.is_write else None
    )
    await simulation.kube.edit_spec(api={"auth": {"anonymous": True}, "ingress": {"host": "a.example.com"}})


def reports(health_report: Health) -> Callable[[Simulation], Awaitable[None]]:
    async def report(simulation: Simulation) -> None:
        simulation.report(health_report)
        await simulation.put_pod(Pod(ready=True))
        await simulation.put_pod(api_pod(ready=True))

    return report


SOURCES = {
    "a container that exits": model_exits,
    "a registry": image_cannot_be_pulled,
    "a kubelet": pod_is_evicted,
    "a kubelet's Event": volume_is_missing,
    "a controller's Event": pods_are_rejected,
    "an admission webhook": child_is_rejected,
    "an API about its model": reports(health(router_model=MESSAGE)),
    "an API about a target": reports(health(targets={"cheap": MESSAGE, "strong": None})),
    "an API about its configuration": reports(health(refused=MESSAGE)),
    "an API that cannot be reached": reports(Health(None, MESSAGE)),
}


@pytest.mark.parametrize("source", SOURCES)
async def test_tokens_in_messages_are_redacted_in_status_events_and_log(
    simulate: Callable[[], Awaitable[Simulation]], log: Callable[[], str], source: str
) -> None:
    simulation = await simulate()
    await simulation.create()
    await SOURCES[source](simulation)
    status = await eventually(lambda: status_with(simulation, "begin:"))
    await simulation.wait_until_idle()
    shown = json.dumps([status, await operator_events(simulation.kube), log()])
    assert ", end" in shown
    assert not [token for token in TOKENS if token[:12] in shown]


async def test_tokens_in_errors_of_the_api_server_are_redacted_in_the_log(
    simulate: Callable[[], Awaitable[Simulation]], log: Callable[[], str]
) -> None:
    simulation = await simulate()
    simulation.proxy.faults.append(
        lambda request: error(403, message=MESSAGE) if request.plural == "events" and request.is_write else None
    )
    await simulation.create()
    await simulation.make_ready()
    await eventually(lambda: _is_logged(log()))
    logged = log()
    assert "cannot create an Event: begin" in logged
    assert not [token for token in TOKENS if token[:12] in logged]


def _is_logged(logged: str) -> None:
    assert "cannot create an Event" in logged


def vault() -> Manifest:
    return {"metadata": {"name": "vault"}, "stringData": {"entry": "secret-value", "keys": "secret-value"}}


async def status_with(simulation: Simulation, text: str) -> dict[str, Any]:
    status = await simulation.status()
    assert text in json.dumps(status).lower()
    return status


async def operator_events(kube: Kube) -> list[Manifest]:
    """Returns the Events that the operator created."""
    return [event for event in await kube.list("Event") if event.get("reportingComponent") == "rl-router-operator"]


async def is_mentioned(kube: Kube, expected: set[tuple[str, str]]) -> None:
    assert {(child["kind"], path) for child in await children(kube) for path in paths(child, "vault")} == expected


async def children(kube: Kube) -> list[Manifest]:
    """Returns the children without their managedFields."""
    manifests = []
    for kind in (kind for kind in KINDS if not kind.optional):
        for item in await kube.list(kind.kind, ROUTER_LABEL):
            item["metadata"].pop("managedFields")
            manifests.append({"kind": kind.kind, **item})
    return manifests


def paths(value: Any, word: str, path: str = "") -> Iterator[str]:
    """Yields the paths of the strings that contain the word."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from paths(part, word, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for part in value:
            yield from paths(part, word, path)
    elif isinstance(value, str) and word in value:
        yield path
