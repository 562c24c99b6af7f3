"""The plan: from what is desired and what is there to actions, by plain values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from made import demo
from rl_router_operator.changes.actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from rl_router_operator.changes.edit_conflicts import MANAGER
from rl_router_operator.changes.plan import ADOPT, Owned, Plan, View, owned_after, plan
from rl_router_operator.objects.manifest import Manifest, Ref, ref_of
from rl_router_operator.objects.naming import FIELD_MANAGER
from rl_router_operator.objects.refusal import RefusedError
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

DEMO = demo()
DESIRED = desired(DEMO, Defaults())
CONFIG: Ref = ("ConfigMap", "demo-api")
STATEFUL_SET: Ref = ("StatefulSet", "demo-model")


def fields(value: Any) -> dict[str, Any]:
    """The fields of a value as managedFields has them; lists as a whole."""
    return {f"f:{name}": fields(each) if isinstance(each, dict) else {} for name, each in value.items()}


def stored(applied: Manifest) -> Manifest:
    """An object as the API server has it after the operator's apply."""
    live = copy.deepcopy(applied)
    own = {name: value for name, value in live["metadata"].items() if name not in ("name", "namespace")}
    owned = fields({**{k: v for k, v in live.items() if k not in ("apiVersion", "kind", "metadata")}, "metadata": own})
    entry = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": owned}
    live["metadata"] |= {"uid": f"uid-{live['metadata']['name']}", "resourceVersion": "7", "managedFields": [entry]}
    return live


def after_birth() -> dict[Ref, Manifest]:
    """Every child as its creation leaves it."""
    created = plan(DEMO, DESIRED, View()).actions
    return {action.ref: stored(action.manifest) for action in created if isinstance(action, Create)}


def planned(live: dict[Ref, Manifest], **view: Any) -> Plan:
    return plan(DEMO, DESIRED, View(live=live, **view))


def only(found: Plan) -> Action:
    """The one action of a plan without problems."""
    assert found.errors == ()
    (action,) = found.actions
    return action


def reasons(found: Plan) -> list[tuple[str, str, str]]:
    return [(problem.kind, problem.name, problem.reason) for problem in found.errors]


def test_a_new_router_gets_every_child_in_order() -> None:
    found = planned({})
    assert [action.ref for action in found.actions] == [ref_of(child) for child in DESIRED]
    assert all(isinstance(action, Create) and action.by_version for action in found.actions)
    assert found.owning == {ref_of(child) for child in DESIRED}


def test_children_that_are_as_desired_need_no_action() -> None:
    assert planned(after_birth()) == Plan((), (), frozenset())


def test_every_action_says_why() -> None:
    live = after_birth()
    live.pop(CONFIG)
    assert only(planned(live)).reason == "missing"


def test_an_edited_child_is_applied_to_the_object_that_was_seen() -> None:
    live = after_birth()
    live[CONFIG]["data"]["router.yaml"] = "edited"
    action = only(planned(live))
    assert isinstance(action, Apply)
    assert action.manifest["metadata"]["uid"] == "uid-demo-api"


def test_a_child_that_is_being_deleted_is_waited_for() -> None:
    live = after_birth()
    live[CONFIG]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert planned(live).actions == ()


def test_somebody_elses_object_that_is_being_deleted_stays_a_problem_until_it_is_gone() -> None:
    live = after_birth()
    live[CONFIG] = {"kind": "ConfigMap", "metadata": {"name": "demo-api", "uid": "theirs", "deletionTimestamp": "now"}}
    assert reasons(planned(live)) == [(*CONFIG, "ForeignObject")]


def test_a_claim_that_has_grown_needs_no_action() -> None:
    router = demo(model={"source": "hf://org/name", "storage": {"size": "2Gi"}})
    claim: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights-demo-model-0", "namespace": "team", "uid": "claim"},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    }

    def action() -> list[Action]:
        found = plan(router, (), View(live={ref_of(claim): claim}))
        return [each for each in found.actions if each.ref == ref_of(claim)]

    (grow,) = action()
    assert isinstance(grow, Apply)
    claim["spec"] = grow.manifest["spec"]
    entry = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields({"spec": grow.manifest["spec"]})}
    claim["metadata"]["managedFields"] = [entry]
    assert action() == []


def test_a_child_that_the_spec_no_longer_asks_for_is_deleted_before_others_change() -> None:
    live = after_birth()
    live["ServiceAccount", "demo-api"] = stored({**copy.deepcopy(live[CONFIG]), "kind": "ServiceAccount"})
    live[CONFIG]["data"] = {}
    first, second = planned(live).actions
    assert isinstance(first, Delete)
    assert first.ref == ("ServiceAccount", "demo-api")
    assert second.ref == CONFIG


def test_somebody_elses_object_is_neither_changed_nor_deleted() -> None:
    live = after_birth()
    live[CONFIG]["metadata"]["ownerReferences"] = []
    live["Ingress", "demo-api"] = {"kind": "Ingress", "metadata": {"name": "demo-api", "uid": "theirs"}}
    found = planned(live)
    assert found.actions == ()
    assert reasons(found) == [(*CONFIG, "ForeignObject")]


@pytest.mark.parametrize("how", ["offered", "remembered"])
def test_an_object_that_may_be_taken_needs_a_living_owner(how: str) -> None:
    live, owned = after_birth(), {}
    live[CONFIG]["metadata"]["ownerReferences"] = []
    if how == "offered":
        live[CONFIG]["metadata"]["annotations"] = {ADOPT: "true"}
    else:
        owned = {CONFIG: Owned("uid-demo-api", DEMO.uid)}
    found = planned(live, owned=owned)
    assert isinstance(only(found), Apply)
    assert found.owning == {CONFIG}


def test_an_object_of_another_controller_is_not_taken_though_it_is_offered() -> None:
    live = after_birth()
    live[CONFIG]["metadata"] |= {
        "ownerReferences": [{"uid": "theirs", "controller": True}],
        "annotations": {ADOPT: "true"},
    }
    assert reasons(planned(live)) == [(*CONFIG, "ForeignObject")]


def test_what_an_admission_webhook_changes_each_time_is_applied_once() -> None:
    live = after_birth()
    (applied,) = [child for child in DESIRED if ref_of(child) == CONFIG]
    live[CONFIG]["data"]["router.yaml"] = "changed by a webhook"
    owned = {CONFIG: owned_after(DEMO, applied, live[CONFIG])}
    assert planned(live, owned=owned).actions == ()
    live[CONFIG]["data"]["router.yaml"] = "edited"
    assert isinstance(only(planned(live, owned=owned)), Apply)


def test_a_kind_that_the_cluster_lacks_is_a_problem() -> None:
    found = planned({}, absent=frozenset({"NetworkPolicy"}))
    assert reasons(found) == [("NetworkPolicy", "demo-model", "KindMissing")]
    assert "NetworkPolicy" not in {action.ref[0] for action in found.actions}


def test_a_kind_that_cannot_be_watched_is_a_problem_though_its_children_are_as_desired() -> None:
    found = planned(after_birth(), unwatched={"ConfigMap": "configmaps is forbidden"})
    assert found.actions == ()
    assert reasons(found) == [(*CONFIG, "Forbidden")]


REFUSALS = [
    (403, 'User "operator" cannot patch resource', "Forbidden"),
    (403, "admission webhook denied the request", "Refused"),
    (429, "try again", "Failed"),
    (503, "shutting down", "Failed"),
]


@pytest.mark.parametrize(("status", "words", "reason"), REFUSALS)
def test_a_refused_change_is_a_problem_in_the_api_servers_words(status: int, words: str, reason: str) -> None:
    live = after_birth()
    live[CONFIG]["data"] = {}
    found = planned(live, refused={CONFIG: RefusedError(status, {"message": words})})
    assert found.actions == ()
    assert reasons(found) == [(*CONFIG, reason)]
    assert found.errors[0].message == words


def test_a_change_that_a_stateful_set_does_not_allow_replaces_it() -> None:
    live = after_birth()
    live[STATEFUL_SET]["spec"]["serviceName"] = "other"
    cause = {"field": "spec", "message": "Forbidden: updates to statefulset spec for fields other than 'replicas'"}
    refused = {STATEFUL_SET: RefusedError(422, {"message": "invalid", "details": {"causes": [cause]}})}
    assert isinstance(only(planned(live, refused=refused)), Replace)


def test_an_edit_that_conflicts_with_the_apply_is_patched_away() -> None:
    live = after_birth()
    template = live[STATEFUL_SET]["spec"]["template"]["spec"]
    template["volumes"][0]["hostPath"] = {"path": "/"}
    cause = {"field": "spec.template.spec.volumes[0].hostPath", "message": "may not specify more than 1 volume type"}
    refused = {STATEFUL_SET: RefusedError(422, {"message": "invalid", "details": {"causes": [cause]}})}
    action = only(planned(live, refused=refused))
    assert isinstance(action, Patch)
    assert action.operations == ({"op": "remove", "path": "/spec/template/spec/volumes/0/hostPath"},)


def test_what_a_repair_owns_is_given_up() -> None:
    live = after_birth()
    live[CONFIG]["metadata"]["managedFields"].append({"manager": MANAGER, "operation": "Update"})
    assert isinstance(only(planned(live)), Disown)


def test_a_name_that_is_taken_and_free_by_turns_is_created_after_a_lookup() -> None:
    for misses, by_version in ((1, True), (2, False)):
        live = after_birth()
        live.pop(CONFIG)
        action = only(planned(live, creation_conflicts={CONFIG: misses}))
        assert isinstance(action, Create)
        assert action.by_version is by_version
