"""Missing permissions, one by one: the operator reports each, and does what the others allow."""

from __future__ import annotations

import pytest
from rl_router_operator.cluster.informers import EVENT
from rl_router_operator.objects.kinds import KINDS, POD, PVC, Kind
from rl_router_operator.objects.refusal import RefusedError

from fakes.cluster.foreign_objects import foreign_object
from fakes.cluster.installation import all_rules
from fakes.cluster.kube_client import Kube
from fakes.cluster.proxy import Proxy
from fakes.cluster.routers import FULL_CHILDREN, FULL_SPEC, router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually

_LARGEST_SPEC = {**FULL_SPEC, "api": {**FULL_SPEC["api"], "autoscaling": {"minReplicas": 2, "maxReplicas": 4}}}
"""A spec with a child of every kind that every cluster has."""
_CHILDREN = [*FULL_CHILDREN, ("HorizontalPodAutoscaler", "demo-api")]
_SMALLEST_SPEC = {
    "model": {
        **dict.fromkeys(FULL_SPEC["model"]),
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
"""A patch that leaves only the API's Service, Deployment and ConfigMap."""
_CHILD_KINDS = [kind for kind in KINDS if not kind.optional]
_WATCHED_KINDS = [*_CHILD_KINDS, POD, PVC, EVENT]
_TO_CREATE = [
    *((kind, verb) for kind in _WATCHED_KINDS for verb in ("list", "watch")),
    *((kind, verb) for kind in _CHILD_KINDS for verb in ("create", "patch")),
]
_TO_DELETE = [kind for kind in _CHILD_KINDS if kind.kind != "Deployment"]

_TO_WRITE_A_CONDITION = [
    ("rlrouter.dev", "routerdeployments", "list"),
    ("rlrouter.dev", "routerdeployments/status", "patch"),
    *(("coordination.k8s.io", "leases", verb) for verb in ("create", "get", "update")),
]
_TO_OBSERVE_CLAIMS = [("coordination.k8s.io", "leases", verb) for verb in ("list", "watch")]
_GET = ("rlrouter.dev", "routerdeployments", "get")
_WATCH = ("rlrouter.dev", "routerdeployments", "watch")
_PATCH_PVC = ("", "persistentvolumeclaims", "patch")
_SCALE = ("apps", "deployments/scale", "patch")
_CREATE_EVENT = ("events.k8s.io", "events", "create")


def _group(kind: Kind) -> str:
    group, slash, _ = kind.api_version.partition("/")
    return group if slash else ""


async def _is_reported(kube: Kube, message: str):
    assert message in (await kube.condition("Degraded"))["message"]


@pytest.mark.parametrize(("kind", "verb"), _TO_CREATE, ids=lambda value: getattr(value, "plural", value))
async def test_a_missing_verb_is_named_in_a_condition_and_does_not_block_other_kinds(
    kube: Kube, start: Start, restrict, kind, verb
):
    await start(user=restrict(lambda *rule: rule == (_group(kind), kind.plural, verb)))
    await kube.create(router(**_LARGEST_SPEC))
    await eventually(lambda: _is_reported(kube, f'{verb} resource "{kind.plural}"'), within=20)
    names = {"Service": "demo-model", "ConfigMap": "demo-api", "Deployment": "demo-api", "Ingress": "demo-api"}
    for other, name in names.items():
        if other != kind.kind:
            await eventually(lambda ref=(other, name): kube.existing(*ref))


def test_the_verb_is_named_although_kubernetes_before_1_32_omits_it():
    body = {
        "message": 'deployments.apps "demo-api" is forbidden: ',
        "details": {"name": "demo-api", "group": "apps", "kind": "deployments"},
    }
    error = RefusedError(403, body)
    assert error.is_missing_permission
    assert error.message.endswith('is forbidden: the operator cannot create resource "deployments" in API group "apps"')


@pytest.mark.parametrize("kind", _TO_DELETE, ids=lambda kind: kind.plural)
async def test_a_child_that_the_operator_may_not_delete_is_reported(kube: Kube, start: Start, restrict, kind):
    await start(user=restrict(lambda *rule: rule == (_group(kind), kind.plural, "delete")))
    await kube.create(router(**_LARGEST_SPEC))
    await eventually(lambda: kube.existing("HorizontalPodAutoscaler", "demo-api"))
    await kube.edit_spec(**_SMALLEST_SPEC)
    await eventually(lambda: _is_reported(kube, f'delete resource "{kind.plural}"'), within=20)


async def test_replicas_that_the_operator_may_not_hand_over_are_reported(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == _SCALE))
    await kube.create(router(**FULL_SPEC))
    await eventually(lambda: kube.existing("Deployment", "demo-api"))
    await kube.edit_spec(**_LARGEST_SPEC)
    await eventually(lambda: _is_reported(kube, 'patch resource "deployments/scale"'), within=20)


@pytest.mark.parametrize("kind", _CHILD_KINDS, ids=lambda kind: kind.plural)
async def test_a_foreign_object_that_the_operator_may_not_read_is_reported(kube: Kube, start: Start, restrict, kind):
    ref = next(ref for ref in _CHILDREN if ref[0] == kind.kind)
    foreign = await kube.create(foreign_object(kube, *ref))
    await start(user=restrict(lambda *rule: rule == (_group(kind), kind.plural, "get")))
    await kube.create(router(**_LARGEST_SPEC))
    await eventually(lambda: _is_reported(kube, f'get resource "{kind.plural}"'), within=20)
    assert await kube.get(*ref) == foreign


async def test_a_child_of_a_router_that_the_operator_may_not_read_is_not_recreated(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == _GET))
    await kube.create(router())
    await eventually(lambda: kube.existing("NetworkPolicy", "demo-model"))
    await kube.delete("Deployment", "demo-api")
    await eventually(lambda: _is_reported(kube, 'get resource "routerdeployments"'), within=20)
    assert await kube.get("Deployment", "demo-api") is None


async def test_routers_that_the_operator_may_not_watch_are_listed_periodically(
    kube: Kube, start: Start, restrict, caplog: pytest.LogCaptureFixture
):
    await start(user=restrict(lambda *rule: rule == _WATCH), resync_seconds=1.0)
    await kube.create(router())
    await eventually(lambda: kube.existing("NetworkPolicy", "demo-model"), within=20)

    def is_logged():
        assert 'cannot watch resource "routerdeployments' in caplog.text

    await eventually(is_logged)


async def test_pvcs_that_the_operator_may_not_patch_are_reported(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == _PATCH_PVC))
    await kube.create(router(model={"source": "hf://org/name", "storage": {"size": "1Gi", "retain": False}}))
    labels = {"rlrouter.dev/router": "demo", "app.kubernetes.io/component": "model"}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "weights-demo-model-0", "labels": labels}
    await kube.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    await eventually(lambda: _is_reported(kube, 'patch resource "persistentvolumeclaims"'), within=20)


def test_these_tests_cover_every_granted_verb():
    optional = {kind.plural for kind in KINDS if kind.optional}
    granted = {
        (rule["apiGroups"][0], rule["resources"][0], verb)
        for rule in all_rules()
        for verb in rule["verbs"]
        if rule["resources"][0] not in optional
    }
    kinds = [*_TO_CREATE, *((kind, "get") for kind in _CHILD_KINDS), *((kind, "delete") for kind in _TO_DELETE)]
    others = {*_TO_WRITE_A_CONDITION, *_TO_OBSERVE_CLAIMS, _GET, _WATCH, _PATCH_PVC, _SCALE, _CREATE_EVENT}
    assert granted == others | {(_group(kind), kind.plural, verb) for kind, verb in kinds}


async def test_a_verb_that_is_granted_again_resolves_the_condition(kube: Kube, start: Start, restrict):
    user = restrict(lambda *rule: rule == ("", "configmaps", "list"))
    await start(user=user)
    await kube.create(router())

    async def degraded(status: str):
        assert (await kube.condition("Degraded"))["status"] == status

    await eventually(lambda: degraded("True"))
    restrict(lambda *rule: False)
    await eventually(lambda: degraded("False"))


@pytest.mark.parametrize("rule", _TO_WRITE_A_CONDITION, ids="-".join)
async def test_readiness_names_a_missing_verb_without_which_no_condition_can_be_written(
    kube: Kube, start: Start, restrict, rule
):
    running = await start(user=restrict(lambda *granted: granted == rule))
    await kube.create(router())
    _, resource, verb = rule

    async def is_not_ready():
        response = await running.get("/readyz")
        assert response.status_code == 503
        assert f'{verb} resource "{resource}"' in response.text

    await eventually(is_not_ready, within=20)
    assert (await running.get("/healthz")).status_code == 200


@pytest.mark.parametrize("rule", _TO_OBSERVE_CLAIMS, ids="-".join)
async def test_a_cluster_wide_operator_that_may_not_observe_claims_writes_nothing_and_is_not_ready(
    kube: Kube, start: Start, proxy: Proxy, restrict, rule
):
    running = await start(user=restrict(lambda *granted: granted == rule), namespaces=())
    await kube.create(router())

    async def is_not_ready():
        response = await running.get("/readyz")
        assert response.status_code == 503
        assert f'cannot {rule[2]} resource "leases"' in response.text

    await eventually(is_not_ready, within=20)
    assert proxy.writes() == []


async def test_a_missing_permission_for_events_does_not_degrade_the_router(kube: Kube, start: Start, restrict):
    await start(user=restrict(lambda *rule: rule == _CREATE_EVENT))
    await kube.create(router())

    async def is_not_degraded():
        assert (await kube.condition("Degraded"))["status"] == "False"

    await eventually(is_not_degraded)
