"""The plan: the actions that follow from the desired and the live objects, without a cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from rl_router_operator.changes.actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from rl_router_operator.changes.edit_conflicts import MANAGER
from rl_router_operator.changes.plan import ADOPT, Owned, Plan, View, owned_after, plan
from rl_router_operator.objects.manifest import Manifest, Ref, ref_of
from rl_router_operator.objects.naming import FIELD_MANAGER
from rl_router_operator.objects.refusal import RefusedError
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.children import demo

DEMO = demo()
DESIRED = desired(DEMO, Defaults())
CONFIG: Ref = ("ConfigMap", "demo-api")
STATEFUL_SET: Ref = ("StatefulSet", "demo-model")


def fields(value: Any) -> dict[str, Any]:
    """Returns the fields of a value in the format of managedFields. Lists are one field."""
    return {f"f:{name}": fields(part) if isinstance(part, dict) else {} for name, part in value.items()}


def stored(applied: Manifest) -> Manifest:
    """Returns an object as the API server stores it after the operator's apply."""
    live = copy.deepcopy(applied)
    own = {name: value for name, value in live["metadata"].items() if name not in ("name", "namespace")}
    owned = fields({**{k: v for k, v in live.items() if k not in ("apiVersion", "kind", "metadata")}, "metadata": own})
    entry = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": owned}
    live["metadata"] |= {"uid": f"uid-{live['metadata']['name']}", "resourceVersion": "7", "managedFields": [entry]}
    return live


def all_children() -> dict[Ref, Manifest]:
    """Returns every child as it is stored after its creation."""
    created = plan(DEMO, DESIRED, View()).actions
    return {action.ref: stored(action.manifest) for action in created if isinstance(action, Create)}


def planned(live: dict[Ref, Manifest], **view: Any) -> Plan:
    return plan(DEMO, DESIRED, View(live=live, **view))


def only(result: Plan) -> Action:
    """Returns the only action of a plan without errors."""
    assert result.errors == ()
    (action,) = result.actions
    return action


def reasons(result: Plan) -> list[tuple[str, str, str]]:
    return [(error.kind, error.name, error.reason) for error in result.errors]


def test_a_new_router_gets_all_children_in_order() -> None:
    result = planned({})
    assert [action.ref for action in result.actions] == [ref_of(child) for child in DESIRED]
    assert all(isinstance(action, Create) and action.by_version for action in result.actions)
    assert result.owning == {ref_of(child) for child in DESIRED}


def test_children_that_are_as_desired_need_no_action() -> None:
    assert planned(all_children()) == Plan((), (), frozenset())


def test_an_action_has_its_reason() -> None:
    live = all_children()
    live.pop(CONFIG)
    assert only(planned(live)).reason == "the object did not exist"


def test_an_edited_child_is_applied_to_the_object_with_the_observed_uid() -> None:
    live = all_children()
    live[CONFIG]["data"]["router.yaml"] = "edited"
    action = only(planned(live))
    assert isinstance(action, Apply)
    assert action.manifest["metadata"]["uid"] == "uid-demo-api"


def test_a_terminating_child_needs_no_action() -> None:
    live = all_children()
    live[CONFIG]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert planned(live).actions == ()


def test_a_terminating_foreign_object_is_an_error_until_it_is_gone() -> None:
    live = all_children()
    live[CONFIG] = {"kind": "ConfigMap", "metadata": {"name": "demo-api", "uid": "other", "deletionTimestamp": "now"}}
    assert reasons(planned(live)) == [(*CONFIG, "ForeignObject")]


def test_a_pvc_grows_once() -> None:
    router = demo(model={"source": "hf://org/name", "storage": {"size": "2Gi"}})
    pvc: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights-demo-model-0", "namespace": "team", "uid": "pvc"},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    }

    def actions() -> list[Action]:
        result = plan(router, (), View(live={ref_of(pvc): pvc}))
        return [action for action in result.actions if action.ref == ref_of(pvc)]

    (grow,) = actions()
    assert isinstance(grow, Apply)
    pvc["spec"] = grow.manifest["spec"]
    entry = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields({"spec": grow.manifest["spec"]})}
    pvc["metadata"]["managedFields"] = [entry]
    assert actions() == []


@pytest.mark.parametrize(
    ("storage", "is_owned"),
    [(None, True), ({"size": "1Gi", "retain": False}, True), ({"size": "1Gi", "retain": True}, False)],
    ids=["removed", "not retained", "retained"],
)
def test_a_pvc_keeps_its_owner_unless_the_spec_retains_the_storage(storage: Any, is_owned: bool) -> None:
    router = demo(model={"source": "hf://org/name", "storage": storage})
    owner = {**router.owner_reference, "controller": False}
    entry = fields({"metadata": {"ownerReferences": {}}})
    entry["f:metadata"]["f:ownerReferences"] = {f'k:{{"uid":"{router.uid}"}}': {}}
    pvc: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "weights-demo-model-0",
            "namespace": "team",
            "uid": "pvc",
            "ownerReferences": [owner],
            "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": entry}],
        },
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    }
    actions = plan(router, (), View(live={ref_of(pvc): pvc})).actions
    assert [type(action) for action in actions] == ([] if is_owned else [Apply])


def test_a_child_that_the_spec_no_longer_requires_is_deleted_before_others_change() -> None:
    live = all_children()
    live["ServiceAccount", "demo-api"] = stored({**copy.deepcopy(live[CONFIG]), "kind": "ServiceAccount"})
    live[CONFIG]["data"] = {}
    first, second = planned(live).actions
    assert isinstance(first, Delete)
    assert first.ref == ("ServiceAccount", "demo-api")
    assert second.ref == CONFIG


def test_a_foreign_object_is_neither_changed_nor_deleted() -> None:
    live = all_children()
    live[CONFIG]["metadata"]["ownerReferences"] = []
    live["Ingress", "demo-api"] = {"kind": "Ingress", "metadata": {"name": "demo-api", "uid": "other"}}
    result = planned(live)
    assert result.actions == ()
    assert reasons(result) == [(*CONFIG, "ForeignObject")]


@pytest.mark.parametrize("how", ["annotated", "remembered"])
def test_an_adopted_object_requires_a_check_of_its_owner(how: str) -> None:
    live, owned = all_children(), {}
    live[CONFIG]["metadata"]["ownerReferences"] = []
    if how == "annotated":
        live[CONFIG]["metadata"]["annotations"] = {ADOPT: "true"}
    else:
        owned = {CONFIG: Owned("uid-demo-api", DEMO.uid)}
    result = planned(live, owned=owned)
    assert isinstance(only(result), Apply)
    assert result.owning == {CONFIG}


def test_an_object_of_another_controller_is_not_adopted_despite_the_annotation() -> None:
    live = all_children()
    live[CONFIG]["metadata"] |= {
        "ownerReferences": [{"uid": "other", "controller": True}],
        "annotations": {ADOPT: "true"},
    }
    assert reasons(planned(live)) == [(*CONFIG, "ForeignObject")]


def test_a_field_that_an_admission_webhook_always_changes_is_applied_once() -> None:
    live = all_children()
    (applied,) = [child for child in DESIRED if ref_of(child) == CONFIG]
    live[CONFIG]["data"]["router.yaml"] = "changed by a webhook"
    owned = {CONFIG: owned_after(DEMO, applied, live[CONFIG])}
    assert planned(live, owned=owned).actions == ()
    live[CONFIG]["data"]["router.yaml"] = "edited"
    assert isinstance(only(planned(live, owned=owned)), Apply)


def test_a_kind_that_the_cluster_lacks_is_an_error() -> None:
    result = planned({}, absent=frozenset({"NetworkPolicy"}))
    assert reasons(result) == [("NetworkPolicy", "demo-model", "KindMissing")]
    assert "NetworkPolicy" not in {action.ref[0] for action in result.actions}


def test_a_kind_that_cannot_be_watched_is_an_error_although_its_children_are_as_desired() -> None:
    result = planned(all_children(), unwatched={"ConfigMap": "configmaps is forbidden"})
    assert result.actions == ()
    assert reasons(result) == [(*CONFIG, "Forbidden")]


REJECTIONS = [
    (403, 'User "operator" cannot patch resource', "Forbidden"),
    (403, "admission webhook denied the request", "Refused"),
    (429, "try again", "Failed"),
    (409, 'Operation cannot be fulfilled on configmaps "x": the object has been modified', "Failed"),
    (404, "the server could not find the requested resource", "Failed"),
    (500, "etcdserver: leader changed", "Failed"),
    (500, 'failed to create typed patch object (a): .spec.x: duplicate entries for key [topologyKey="a"]', "Refused"),
    (500, "failed to create typed patch object (a): .spec.x: expected numeric (int or float), got string", "Refused"),
    (500, "failed to create typed patch object (a): .spec.x: field not declared in schema", "FieldUnsupported"),
    (422, 'Deployment "x" is invalid: spec.selector: Invalid value: {}: field is immutable', "Immutable"),
    (422, 'Service "x" is invalid: spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set', "Immutable"),
    (503, "shutting down", "Failed"),
]


@pytest.mark.parametrize(("status", "message", "reason"), REJECTIONS)
def test_a_rejected_change_is_an_error_with_the_api_servers_message(status: int, message: str, reason: str) -> None:
    live = all_children()
    live[CONFIG]["data"] = {}
    result = planned(live, refused={CONFIG: RefusedError(status, {"message": message})})
    assert result.actions == ()
    assert reasons(result) == [(*CONFIG, reason)]
    assert result.errors[0].message == message


def test_a_comparison_of_whole_objects_is_not_part_of_an_error() -> None:
    message = "spec: Forbidden: spec is immutable after creation except resources.requests for bound claims"
    refused = {CONFIG: RefusedError(422, {"message": f"{message}\n  core.PersistentVolumeClaimSpec{{\n- \t1"})}
    live = all_children()
    live[CONFIG]["data"] = {}
    (error,) = planned(live, refused=refused).errors
    assert (error.reason, error.message) == ("Immutable", message)


def test_a_change_that_a_statefulset_forbids_replaces_it() -> None:
    live = all_children()
    live[STATEFUL_SET]["spec"]["serviceName"] = "other"
    cause = {"field": "spec", "message": "Forbidden: updates to statefulset spec for fields other than 'replicas'"}
    refused = {STATEFUL_SET: RefusedError(422, {"message": "invalid", "details": {"causes": [cause]}})}
    assert isinstance(only(planned(live, refused=refused)), Replace)


def test_an_edit_that_makes_the_apply_fail_is_removed_by_a_patch() -> None:
    live = all_children()
    template = live[STATEFUL_SET]["spec"]["template"]["spec"]
    template["volumes"][0]["hostPath"] = {"path": "/"}
    cause = {"field": "spec.template.spec.volumes[0].hostPath", "message": "may not specify more than 1 volume type"}
    refused = {STATEFUL_SET: RefusedError(422, {"message": "invalid", "details": {"causes": [cause]}})}
    action = only(planned(live, refused=refused))
    assert isinstance(action, Patch)
    assert action.operations == ({"op": "remove", "path": "/spec/template/spec/volumes/0/hostPath"},)


def test_the_fields_that_a_repair_owns_are_disowned() -> None:
    live = all_children()
    live[CONFIG]["metadata"]["managedFields"].append({"manager": MANAGER, "operation": "Update"})
    assert isinstance(only(planned(live)), Disown)


def test_a_second_conflict_of_a_creation_leads_to_a_creation_after_a_read() -> None:
    for misses, by_version in ((1, True), (2, False)):
        live = all_children()
        live.pop(CONFIG)
        action = only(planned(live, creation_conflicts={CONFIG: misses}))
        assert isinstance(action, Create)
        assert action.by_version is by_version
