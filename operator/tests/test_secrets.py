"""Secrets: in no child but by reference, struck out of what others said before status, Events or the log have it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import faults
import pytest
from faults import Proxy
from harness import Kube, Start, eventually
from rl_router_operator.controller.pod_health import ProbeIntervals
from rl_router_operator.log import LOG, JsonLines
from rl_router_operator.objects.kinds import KINDS
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import ROUTER_LABEL
from rl_router_operator.objects.observed import Health
from stage import Stage
from world import TARGETS, Pod, api_pod, crashed, event, health, waiting

OFTEN = ProbeIntervals(settled=0.1, unsettled=0.1)
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
PLACES: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "a target's key": (
        {"targets": [{**TARGETS[0], "apiKeySecretRef": KEY}]},
        FILE,
    ),
    "the key of a model elsewhere": (
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
WRITTEN_OUT = {
    "a header's name in capitals": {"targets": [{**TARGETS[0], "headers": {"X-API-KEY": "sk-written-out"}}]},
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
WORDS = "it said: Authorization: Bearer {} and {} and {}, no more".format(*TOKENS)


@pytest.fixture
def log() -> Iterator[Callable[[], str]]:
    """What has been logged since, as it is in a pod."""
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
def stage(kube: Kube, proxy: Proxy, start: Start) -> Callable[[], Awaitable[Stage]]:
    """Opens a namespace with an operator that looks often."""

    async def opened() -> Stage:
        return Stage(kube, proxy, await start(probe_intervals=OFTEN, discovery_seconds=0.1))

    return opened


@pytest.mark.parametrize("place", PLACES)
async def test_children_name_a_secret_where_kubernetes_looks_for_it_and_nowhere_else(
    stage: Callable[[], Awaitable[Stage]], place: str
) -> None:
    spec, expected = PLACES[place]
    scene = await stage()
    await scene.kube.client.post(f"/api/v1/namespaces/{scene.kube.namespace}/secrets", json=vault())
    await scene.open(**spec)
    await eventually(lambda: mentioned(scene.kube, expected))
    await scene.rests()
    assert "opened-up" not in json.dumps([await children(scene.kube), await scene.kube.list("Event")])
    assert not [seen for seen in scene.proxy.requests if "/secrets" in seen.path]


@pytest.mark.parametrize("place", WRITTEN_OUT)
async def test_a_secret_that_is_written_out_is_refused(kube: Kube, place: str) -> None:
    body = {"apiVersion": "rlrouter.dev/v1alpha1", "kind": "RouterDeployment", "metadata": {"name": "demo"}}
    answer = await kube.client.post(kube.path("RouterDeployment"), json={**body, "spec": WRITTEN_OUT[place]})
    assert answer.status_code == 422, answer.text


async def model_ends(scene: Stage) -> None:
    await scene.put(Pod(**crashed(f"ValueError: {WORDS}")))


async def image_is_refused(scene: Stage) -> None:
    await scene.put(Pod(state=waiting("ErrImagePull", WORDS)))


async def pod_is_evicted(scene: Stage) -> None:
    await scene.put(Pod(phase="Failed", reason="Evicted", message=WORDS))


async def volume_is_missing(scene: Stage) -> None:
    await scene.put(Pod(state=waiting("ContainerCreating")))
    await scene.warn(event("Pod", "demo-model-0", "FailedMount", WORDS))


async def pods_are_refused(scene: Stage) -> None:
    await scene.warn(event("StatefulSet", "demo-model", "FailedCreate", WORDS))


async def child_is_refused(scene: Stage) -> None:
    scene.proxy.faults.append(
        lambda seen: faults.status(403, message=WORDS) if seen.plural == "ingresses" and seen.is_write else None
    )
    await scene.edit(api={"auth": {"anonymous": True}, "ingress": {"host": "a.example.com"}})


def answers(said: Health) -> Callable[[Stage], Awaitable[None]]:
    async def serve(scene: Stage) -> None:
        scene.say(said)
        await scene.put(Pod(ready=True))
        await scene.put(api_pod(ready=True))

    return serve


SPEAKERS = {
    "a container at its end": model_ends,
    "a registry": image_is_refused,
    "a kubelet": pod_is_evicted,
    "a kubelet's Event": volume_is_missing,
    "a controller's Event": pods_are_refused,
    "an admission": child_is_refused,
    "an API about its model": answers(health(router_model=WORDS)),
    "an API about a target": answers(health(targets={"cheap": WORDS, "strong": None})),
    "an API about its configuration": answers(health(refused=WORDS)),
    "an API that cannot be asked": answers(Health(None, WORDS)),
}


@pytest.mark.parametrize("speaker", SPEAKERS)
async def test_tokens_in_what_is_said_are_struck_out_of_status_events_and_log(
    stage: Callable[[], Awaitable[Stage]], log: Callable[[], str], speaker: str
) -> None:
    scene = await stage()
    await scene.open()
    await SPEAKERS[speaker](scene)
    status = await eventually(lambda: told(scene, "it said"))
    await scene.rests()
    shown = json.dumps([status, await reported(scene.kube), log()])
    assert "no more" in shown
    assert not [token for token in TOKENS if token[:12] in shown]


async def test_tokens_in_what_the_api_server_says_are_struck_out_of_the_log(
    stage: Callable[[], Awaitable[Stage]], log: Callable[[], str]
) -> None:
    scene = await stage()
    scene.proxy.faults.append(
        lambda seen: faults.status(403, message=WORDS) if seen.plural == "events" and seen.is_write else None
    )
    await scene.open()
    await scene.serve()
    await eventually(lambda: _is_logged(log()))
    logged = log()
    assert "cannot create an Event: it said" in logged
    assert not [token for token in TOKENS if token[:12] in logged]


def _is_logged(logged: str) -> None:
    assert "cannot create an Event" in logged


def vault() -> Manifest:
    return {"metadata": {"name": "vault"}, "stringData": {"entry": "opened-up", "keys": "opened-up"}}


async def told(scene: Stage, words: str) -> dict[str, Any]:
    status = await scene.status()
    assert words in json.dumps(status).lower()
    return status


async def reported(kube: Kube) -> list[Manifest]:
    """The operator's own Events."""
    return [each for each in await kube.list("Event") if each.get("reportingComponent") == "rl-router-operator"]


async def mentioned(kube: Kube, expected: set[tuple[str, str]]) -> None:
    assert {(each["kind"], where) for each in await children(kube) for where in places(each, "vault")} == expected


async def children(kube: Kube) -> list[Manifest]:
    """What was made, without its history."""
    found = []
    for kind in (each for each in KINDS if not each.optional):
        for each in await kube.list(kind.kind, ROUTER_LABEL):
            each["metadata"].pop("managedFields")
            found.append({"kind": kind.kind, **each})
    return found


def places(value: Any, word: str, path: str = "") -> Iterator[str]:
    """The paths of the texts that have the word."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from places(each, word, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for each in value:
            yield from places(each, word, path)
    elif isinstance(value, str) and word in value:
        yield path
