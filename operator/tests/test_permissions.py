"""Missing permissions, one by one: what may still be done is done, and what is wrong is said."""

from __future__ import annotations

import pytest
from harness import Kube, Start, condition, eventually, router
from rl_router_operator import rbac
from rl_router_operator.cluster.informers import EVENT
from rl_router_operator.objects.kinds import KINDS, POD, PVC, Kind
from rl_router_operator.objects.refusal import RefusedError
from test_drift import CHILDREN, FULL
from test_ownership import foreign

_MOST = {**FULL, "api": {**FULL["api"], "autoscaling": {"minReplicas": 2, "maxReplicas": 4}}}
"""Asks for a child of every kind that a plain cluster has."""
_CHILDREN = [*CHILDREN, ("HorizontalPodAutoscaler", "demo-api")]
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
_SEEN = [*_MADE, POD, PVC, EVENT]
_FOR_MAKING = [
    *((kind, verb) for kind in _SEEN for verb in ("list", "watch")),
    *((kind, verb) for kind in _MADE for verb in ("create", "patch")),
]
_FOR_REMOVING = [kind for kind in _MADE if kind.kind != "Deployment"]

_FOR_A_CONDITION = [
    ("rlrouter.dev", "routerdeployments", "list"),
    ("rlrouter.dev", "routerdeployments/status", "patch"),
    *(("coordination.k8s.io", "leases", verb) for verb in ("create", "get", "update")),
]
_LOOK = ("rlrouter.dev", "routerdeployments", "get")
_FOLLOW = ("rlrouter.dev", "routerdeployments", "watch")
_GROW = ("", "persistentvolumeclaims", "patch")
_HAND_OVER = ("apps", "deployments/scale", "patch")
_TELL = ("events.k8s.io", "events", "create")


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
            await eventually(lambda ref=(other, name): _there(kube, *ref))


def test_a_verb_that_kubernetes_before_1_32_does_not_name_is_named():
    body = {
        "message": 'deployments.apps "demo-api" is forbidden: ',
        "details": {"name": "demo-api", "group": "apps", "kind": "deployments"},
    }
    refused = RefusedError(403, body)
    assert refused.is_missing_permission
    assert refused.message.endswith(
        'is forbidden: the operator cannot create resource "deployments" in API group "apps"'
    )


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
    await start(user=restrict(lambda *rule: rule == _HAND_OVER))
    await kube.create(router(**FULL))
    await eventually(lambda: _there(kube, "Deployment", "demo-api"))
    await kube.merge("RouterDeployment", "demo", {"spec": _MOST})
    await eventually(lambda: _degraded_by(kube, 'patch resource "deployments/scale"'), within=20)


@pytest.mark.parametrize("kind", _MADE, ids=lambda each: each.plural)
async def test_an_object_in_the_way_that_may_not_be_read_is_a_condition(kube: Kube, start: Start, restrict, kind):
    ref = next(ref for ref in _CHILDREN if ref[0] == kind.kind)
    theirs = await kube.create(foreign(kube, *ref))
    await start(user=restrict(lambda *rule: rule == (_group(kind), kind.plural, "get")))
    await kube.create(router(**_MOST))
    await eventually(lambda: _degraded_by(kube, f'get resource "{kind.plural}"'), within=20)
    assert await kube.get(*ref) == theirs


async def test_a_child_of_one_that_may_not_be_read_is_not_made_again(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == _LOOK))
    await kube.create(router())
    await eventually(lambda: _there(kube, "NetworkPolicy", "demo-model"))
    await kube.delete("Deployment", "demo-api")
    await eventually(lambda: _degraded_by(kube, 'get resource "routerdeployments"'), within=20)
    assert await kube.get("Deployment", "demo-api") is None


async def test_routers_that_may_not_be_watched_are_looked_for_now_and_then(
    kube: Kube, start: Start, restrict, caplog: pytest.LogCaptureFixture
):
    await start(user=restrict(lambda *rule: rule == _FOLLOW), resync_seconds=1.0)
    await kube.create(router())
    await eventually(lambda: _there(kube, "NetworkPolicy", "demo-model"), within=20)

    def logged():
        assert 'cannot watch resource "routerdeployments' in caplog.text

    await eventually(logged)


async def test_claims_that_may_not_be_changed_are_a_condition(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == _GROW))
    await kube.create(router(model={"source": "hf://org/name", "storage": {"size": "1Gi", "retain": False}}))
    labels = {"rlrouter.dev/router": "demo", "app.kubernetes.io/component": "model"}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "weights-demo-model-0", "labels": labels}
    await kube.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    await eventually(lambda: _degraded_by(kube, 'patch resource "persistentvolumeclaims"'), within=20)


def test_no_verb_is_granted_whose_lack_would_not_be_told():
    optional = {kind.plural for kind in KINDS if kind.optional}
    granted = {
        (rule["apiGroups"][0], rule["resources"][0], verb)
        for rule in (*rbac.operator_rules(), *rbac.lease_rules())
        for verb in rule["verbs"]
        if rule["resources"][0] not in optional
    }
    kinds = [*_FOR_MAKING, *((kind, "get") for kind in _MADE), *((kind, "delete") for kind in _FOR_REMOVING)]
    told = {*_FOR_A_CONDITION, _LOOK, _FOLLOW, _GROW, _HAND_OVER, _TELL}
    assert granted == told | {(_group(kind), kind.plural, verb) for kind, verb in kinds}


async def test_a_verb_that_is_granted_again_is_noticed(kube: Kube, start: Start, restrict):
    user = restrict(lambda *rule: rule == ("", "configmaps", "list"))
    await start(user=user)
    await kube.create(router())

    async def degraded(status: str):
        assert condition(await kube.get("RouterDeployment", "demo"), "Degraded")["status"] == status

    await eventually(lambda: degraded("True"))
    restrict(lambda *rule: False)
    await eventually(lambda: degraded("False"))


@pytest.mark.parametrize("rule", _FOR_A_CONDITION, ids="-".join)
async def test_a_verb_without_which_no_condition_can_be_written_is_told_by_readiness(
    kube: Kube, start: Start, restrict, rule
):
    running = await start(user=restrict(lambda *each: each == rule))
    await kube.create(router())
    _, resource, verb = rule

    async def told():
        answer = await running.ask("/readyz")
        assert answer.status_code == 503
        assert f'{verb} resource "{resource}"' in answer.text

    await eventually(told, within=20)
    assert (await running.ask("/healthz")).status_code == 200


async def test_events_that_may_not_be_made_stop_nothing(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == _TELL))
    await kube.create(router())

    async def written():
        assert condition(await kube.get("RouterDeployment", "demo"), "Degraded")["status"] == "False"

    await eventually(written)
