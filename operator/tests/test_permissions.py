"""Missing permissions, one by one: what may still be done is done, and what is wrong is said."""

from __future__ import annotations

import pytest
from harness import Kube, Start, condition, eventually, router
from rl_router_operator.cluster.sight import EVENT
from rl_router_operator.kinds import CLAIM, KINDS, POD, Kind
from test_drift import FULL

_MOST = {**FULL, "api": {**FULL["api"], "autoscaling": {"minReplicas": 2, "maxReplicas": 4}}}
"""Asks for a child of every kind that a plain cluster has."""
_LEAST = {
    "model": {
        **dict.fromkeys(FULL["model"]),
        "external": {"baseUrl": "https://router.example/v1"},
    },
    "api": {
        "replicas": 1,
        "ingress": None,
        "autoscaling": None,
        "networkPolicy": None,
        "serviceAccount": None,
    },
}
"""A patch after which nothing but the API's Service, Deployment and ConfigMap is left."""
_MADE = [kind for kind in KINDS if not kind.optional]
_SEEN = [*_MADE, POD, CLAIM, EVENT]
_FOR_MAKING = [
    *((kind, verb) for kind in _SEEN for verb in ("list", "watch")),
    # Nothing is made that was not looked for.
    *((kind, verb) for kind in _MADE for verb in ("get", "create", "patch")),
]
_FOR_REMOVING = [kind for kind in _MADE if kind.kind != "Deployment"]


def _group(kind: Kind) -> str:
    group, slash, _ = kind.api_version.partition("/")
    return group if slash else ""


async def _degraded_by(kube: Kube, words: str):
    live = await kube.get("RouterDeployment", "demo")
    assert words in condition(live, "Degraded")["message"]


@pytest.mark.parametrize(("kind", "verb"), _FOR_MAKING, ids=lambda each: getattr(each, "plural", each))
async def test_a_missing_verb_is_a_condition_that_names_it_and_stops_no_other_kind(
    kube: Kube, start: Start, restrict, kind, verb
):
    await start(user=restrict(lambda *rule: rule == (_group(kind), kind.plural, verb)))
    await kube.create(router(**_MOST))
    await eventually(lambda: _degraded_by(kube, f'{verb} resource "{kind.plural}"'), within=20)
    wanted = {"Service": "demo-model", "ConfigMap": "demo-api", "Deployment": "demo-api", "Ingress": "demo-api"}
    for other, name in wanted.items():
        if other != kind.kind:
            assert await kube.get(other, name)


@pytest.mark.parametrize("kind", _FOR_REMOVING, ids=lambda each: each.plural)
async def test_a_child_that_may_not_be_removed_is_a_condition(kube: Kube, start: Start, restrict, kind):
    await start(user=restrict(lambda *rule: rule == (_group(kind), kind.plural, "delete")))
    await kube.create(router(**_MOST))
    await eventually(lambda: _there(kube, "HorizontalPodAutoscaler", "demo-api"))
    await kube.merge("RouterDeployment", "demo", {"spec": _LEAST})
    await eventually(lambda: _degraded_by(kube, f'delete resource "{kind.plural}"'), within=20)


async def _there(kube: Kube, kind: str, name: str):
    assert await kube.get(kind, name)


async def test_replicas_that_may_not_be_handed_over_are_a_condition(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == ("apps", "deployments/scale", "patch")))
    await kube.create(router(**FULL))
    await eventually(lambda: _there(kube, "Deployment", "demo-api"))
    await kube.merge("RouterDeployment", "demo", {"spec": _MOST})
    await eventually(lambda: _degraded_by(kube, 'patch resource "deployments/scale"'), within=20)


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
