"""Whose an object is: what is not the RouterDeployment's is left alone, named in a condition, and waited for."""

from __future__ import annotations

import json

import pytest
from faults import Proxy, Seen
from harness import Kube, Start, condition, eventually, router
from test_drift import CHILDREN, FULL, settled

_BODIES = {
    "ServiceAccount": {},
    "ConfigMap": {"data": {"mine": "yes"}},
    "Service": {"spec": {"ports": [{"port": 1}]}},
    "StatefulSet": {"spec": {"serviceName": "x", "selector": {"matchLabels": {"a": "b"}}}},
    "Deployment": {"spec": {"selector": {"matchLabels": {"a": "b"}}}},
    "PodDisruptionBudget": {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "HorizontalPodAutoscaler": {
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}
    },
    "Ingress": {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 1}}}}},
}
_POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "x"}]}}


def foreign(kube: Kube, kind: str, name: str):
    """Somebody's object of a child's name."""
    body = json.loads(json.dumps(_BODIES[kind]))
    if kind in ("StatefulSet", "Deployment"):
        body["spec"]["template"] = _POD
    return {"apiVersion": kube.api_version(kind), "kind": kind, "metadata": {"name": name}, **body}


async def test_foreign_objects_of_every_kind_are_untouched_named_and_waited_for(kube: Kube, start: Start):
    theirs = {ref: await kube.create(foreign(kube, *ref)) for ref in CHILDREN}
    await start()
    await kube.create(router(**FULL))

    async def named():
        degraded = condition(await kube.get("RouterDeployment", "demo"), "Degraded")
        assert degraded["status"] == "True"
        assert degraded["reason"] == "ForeignObject"

    await eventually(named)
    for ref, body in theirs.items():
        assert await kube.get(*ref) == body
        await kube.delete(*ref)

    async def healed():
        for ref in CHILDREN:
            assert (await kube.get(*ref))["metadata"]["ownerReferences"][0]["name"] == "demo"
        assert condition(await kube.get("RouterDeployment", "demo"), "Degraded")["reason"] != "ForeignObject"

    await eventually(healed)


@pytest.mark.parametrize("ref", [("ConfigMap", "demo-api"), ("StatefulSet", "demo-model")], ids="/".join)
async def test_the_condition_names_the_foreign_object(kube: Kube, start: Start, ref):
    await kube.create(foreign(kube, *ref))
    await start()
    await kube.create(router())

    async def named():
        assert " ".join(ref) in condition(await kube.get("RouterDeployment", "demo"), "Degraded")["message"]

    await eventually(named)


async def test_a_foreign_object_is_read_now_and_then_and_not_written_again(kube: Kube, start: Start, proxy: Proxy):
    await kube.create(foreign(kube, "ConfigMap", "demo-api"))
    await start()
    await kube.create(router())

    def requests(method: str) -> int:
        return len(
            [seen for seen in proxy.requests if seen.method == method and seen.path.endswith("/configmaps/demo-api")]
        )

    def read_again():
        assert requests("GET") >= 3

    await eventually(read_again, within=20)
    assert requests("PATCH") == 1


async def test_an_object_under_another_controller_is_never_taken(kube: Kube, start: Start):
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1-2-3", "controller": True}
    theirs = foreign(kube, "ConfigMap", "demo-api")
    theirs["metadata"].update(ownerReferences=[owner], annotations={"rlrouter.dev/adopt": "true"})
    theirs = await kube.create(theirs)
    await start()
    await kube.create(router())

    async def named():
        message = condition(await kube.get("RouterDeployment", "demo"), "Degraded")["message"]
        assert "ConfigMap demo-api" in message

    await eventually(named)
    assert await kube.get("ConfigMap", "demo-api") == theirs


async def test_an_orphan_is_taken_where_it_is_offered(kube: Kube, start: Start):
    theirs = await kube.create(foreign(kube, "ConfigMap", "demo-api"))
    await start()
    await kube.create(router())
    await kube.merge("ConfigMap", "demo-api", {"metadata": {"annotations": {"rlrouter.dev/adopt": "true"}}})

    async def taken():
        live = await kube.get("ConfigMap", "demo-api")
        assert live["metadata"]["ownerReferences"][0]["name"] == "demo"
        assert "router.yaml" in live["data"]
        return live

    live = await eventually(taken)
    assert live["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert live["data"]["mine"] == "yes"


async def test_what_appears_between_the_look_and_the_making_is_left_as_it_was(kube: Kube, start: Start, proxy: Proxy):
    made = []

    async def make_first(seen: Seen):
        if not made and seen.method == "PATCH" and seen.path.endswith("/configmaps/demo-api"):
            made.append(await kube.create(foreign(kube, "ConfigMap", "demo-api")))

    proxy.faults.append(make_first)
    await start()
    await kube.create(router())

    async def named():
        degraded = condition(await kube.get("RouterDeployment", "demo"), "Degraded")
        assert "ConfigMap demo-api" in degraded["message"]

    await eventually(named)
    live = await kube.get("ConfigMap", "demo-api")
    assert live["data"] == {"mine": "yes"}
    assert "ownerReferences" not in live["metadata"]
    assert "labels" not in live["metadata"]


async def test_another_object_of_the_name_is_not_overwritten(kube: Kube, start: Start, proxy: Proxy):
    """The child is exchanged for somebody's after it was seen and before it is applied."""
    await settled(kube, start)
    theirs = []

    async def exchange(seen: Seen):
        if not theirs and seen.method == "PATCH" and seen.path.endswith("/configmaps/demo-api"):
            await kube.delete("ConfigMap", "demo-api")
            theirs.append(await kube.create(foreign(kube, "ConfigMap", "demo-api")))

    proxy.faults.append(exchange)
    await kube.merge("ConfigMap", "demo-api", {"data": {"router.yaml": "edited"}})
    await eventually(lambda: _is_there(theirs))

    async def named():
        degraded = condition(await kube.get("RouterDeployment", "demo"), "Degraded")
        assert "ConfigMap demo-api" in degraded["message"]

    await eventually(named)
    assert (await kube.get("ConfigMap", "demo-api"))["data"] == {"mine": "yes"}


def _is_there(made: list):
    assert made
