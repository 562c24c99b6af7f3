"""Missing permissions, one by one: what may still be done is done, and what is wrong is said."""

from __future__ import annotations

import pytest
from harness import Kube, Start, condition, eventually, router

_CHILDREN = [
    ("", "configmaps", "create", False),
    ("", "configmaps", "patch", False),
    ("", "configmaps", "get", False),  # nothing is made that was not looked for
    ("", "configmaps", "list", True),
    ("", "configmaps", "watch", True),
    ("apps", "statefulsets", "patch", False),
    ("", "pods", "list", True),
    ("", "events", "list", True),
    ("", "persistentvolumeclaims", "watch", True),
]
"""(group, resource, verb, whether the ConfigMap is made all the same)."""


@pytest.mark.parametrize(("group", "resource", "verb", "made"), _CHILDREN, ids=lambda each: str(each) or "core")
async def test_a_missing_verb_is_a_condition_that_names_it(
    kube: Kube, start: Start, restrict, group, resource, verb, made
):
    user = restrict(lambda *rule: rule == (group, resource, verb))
    await start(user=user)
    await kube.create(router())

    async def named():
        live = await kube.get("RouterDeployment", "demo")
        assert f'{verb} resource "{resource}"' in condition(live, "Degraded")["message"]
        assert await kube.get("Deployment", "demo-api")
        if made:
            assert await kube.get("ConfigMap", "demo-api")

    await eventually(named, within=20)


async def test_a_verb_that_is_granted_again_is_noticed(kube: Kube, start: Start, restrict):
    user = restrict(lambda *rule: rule == ("", "configmaps", "list"))
    await start(user=user)
    await kube.create(router())

    async def degraded(status: str):
        assert condition(await kube.get("RouterDeployment", "demo"), "Degraded")["status"] == status

    await eventually(lambda: degraded("True"))
    restrict(lambda *rule: False)
    await eventually(lambda: degraded("False"))


@pytest.mark.parametrize(
    ("group", "resource", "verb", "words"),
    [
        ("rlrouter.dev", "routerdeployments", "list", 'list resource "routerdeployments"'),
        ("rlrouter.dev", "routerdeployments/status", "patch", 'patch resource "routerdeployments/status"'),
        ("coordination.k8s.io", "leases", "create", 'create resource "leases"'),
        ("coordination.k8s.io", "leases", "get", 'get resource "leases"'),
        ("coordination.k8s.io", "leases", "update", 'update resource "leases"'),
    ],
    ids=lambda each: each,
)
async def test_a_verb_without_which_no_condition_can_be_written_is_told_by_readiness(
    kube: Kube, start: Start, restrict, group, resource, verb, words
):
    running = await start(user=restrict(lambda *rule: rule == (group, resource, verb)))
    await kube.create(router())

    async def told():
        answer = await running.ask("/readyz")
        assert answer.status_code == 503
        assert words in answer.text

    await eventually(told, within=20)
    assert (await running.ask("/healthz")).status_code == 200


async def test_events_that_may_not_be_made_stop_nothing(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == ("events.k8s.io", "events", "create")))
    await kube.create(router())

    async def written():
        assert condition(await kube.get("RouterDeployment", "demo"), "Degraded")["status"] == "False"

    await eventually(written)
