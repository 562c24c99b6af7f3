"""Holding back a rollout, repairing unions and comparing with live objects, without a cluster."""

from __future__ import annotations

import copy

import pytest
from rl_router_operator.changes.drift import is_applied
from rl_router_operator.changes.edit_conflicts import overlooked, repairs
from rl_router_operator.changes.rollout import RELEASED, held_back
from rl_router_operator.resources.defaults import Defaults, Images

from fakes.cluster.children import children

NAME = ("StatefulSet", "demo-model")


def desired(image: str = "old", **spec):
    return children(Defaults(images=Images(llamacpp=image)), **spec)[NAME]


def stored(applied):
    """Returns an object as the API server stores it after the apply."""
    live = copy.deepcopy(applied)
    owned = {"f:metadata": {"f:annotations": {f"f:{RELEASED}": {}}}}
    entry = {"manager": "rl-router-operator", "operation": "Apply", "fieldsV1": owned}
    live["metadata"]["managedFields"] = [entry]
    return live


def partition(manifest):
    return manifest["spec"]["updateStrategy"]["rollingUpdate"]["partition"]


def test_a_new_statefulset_is_not_held_back():
    assert partition(held_back(desired(), None)) == 0


def test_the_template_of_a_newer_operator_is_held_back_for_all_pods():
    live = stored(held_back(desired(model={"replicas": 3}), None))
    assert partition(held_back(desired("new", model={"replicas": 3}), live)) == 3


def test_the_model_pods_keep_running_if_the_cluster_gets_ipv6():
    live = stored(held_back(children()[NAME], None))
    assert partition(held_back(children(Defaults(has_ipv6=True))[NAME], live)) == 1


def test_a_template_stays_held_back():
    live = stored(held_back(desired(), None))
    live = stored(held_back(desired("new"), live))
    assert partition(held_back(desired("new"), live)) == 1


def test_a_template_stays_held_back_although_its_annotation_is_edited():
    live = stored(held_back(desired(model={"replicas": 3}), None))
    live = stored(held_back(desired("new", model={"replicas": 3}), live))
    live["metadata"]["annotations"][RELEASED] = "edited"
    live["metadata"]["managedFields"][0]["fieldsV1"] = {}
    live = stored(held_back(desired("new", model={"replicas": 3}), live))
    assert partition(live) == 3
    assert partition(held_back(desired("new", model={"replicas": 3}), live)) == 3


def test_a_change_of_the_model_releases_the_template():
    live = stored(held_back(desired(), None))
    live = stored(held_back(desired("new"), live))
    assert partition(held_back(desired("new", model={"maxModelLen": 2048}), live)) == 0


def test_the_template_of_the_earlier_operator_is_not_held_back():
    live = stored(held_back(desired(), None))
    live = stored(held_back(desired("new"), live))
    assert partition(held_back(desired("old"), live)) == 0


def test_an_edited_template_is_not_held_back():
    live = stored(held_back(desired(), None))
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "edited"
    assert partition(held_back(desired(), live)) == 0


def test_the_template_of_a_suspended_router_is_not_held_back():
    live = stored(held_back(desired(), None))
    assert partition(held_back(desired("new", suspend=True), live)) == 0


def _live(spec, **fields):
    entry = {"manager": "rl-router-operator", "operation": "Apply", "fieldsV1": fields}
    metadata = {"name": "x", "managedFields": [entry]}
    return {"metadata": metadata, "spec": spec}


def _manifest(spec):
    return {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec}


def test_defaults_and_fields_of_others_are_no_difference():
    live = _live({"a": 1, "default": 2}, **{"f:spec": {"f:a": {}}})
    assert is_applied(_manifest({"a": 1}), live)


def test_changed_unowned_and_additional_fields_are_differences():
    owned = {"f:spec": {"f:a": {}}}
    assert not is_applied(_manifest({"a": 2}), _live({"a": 1}, **owned))
    assert not is_applied(_manifest({"a": 1}), _live({"a": 1}))
    assert not is_applied(_manifest({"b": 1}), _live({"a": 1, "b": 1}, **owned))


def test_quantities_are_compared_as_numbers_and_other_values_as_strings():
    owned = {"f:spec": {"f:requests": {"f:cpu": {}}, "f:value": {}}}
    live = _live({"requests": {"cpu": "1"}, "value": "1"}, **owned)
    assert is_applied(_manifest({"requests": {"cpu": "1000m"}, "value": "1"}), live)
    assert not is_applied(_manifest({"requests": {"cpu": "1"}, "value": "1000m"}), live)


def test_keyed_lists_are_compared_by_key_in_any_order():
    owned = {"f:spec": {"f:list": {'k:{"name":"b"}': {".": {}, "f:name": {}, "f:value": {}}}}}
    live = _live({"list": [{"name": "other"}, {"name": "b", "value": 1}]}, **owned)
    assert is_applied(_manifest({"list": [{"name": "b", "value": 1}]}), live)
    assert not is_applied(_manifest({"list": [{"name": "b", "value": 2}]}), live)
    assert not is_applied(_manifest({"list": []}), live)


def _union(volumes):
    return {"spec": {"template": {"spec": {"volumes": volumes}}}}


def test_another_member_of_a_union_is_replaced_only_in_its_own_entry():
    desired_body = _union([{"name": "a", "configMap": {"name": "x"}}, {"name": "b", "emptyDir": {}}])
    live = _union([{"name": "b", "emptyDir": {"medium": "Memory"}}, {"name": "a", "hostPath": {"path": "/"}}])
    expected = [
        {"op": "remove", "path": "/spec/template/spec/volumes/1/hostPath"},
        {"op": "add", "path": "/spec/template/spec/volumes/1/configMap", "value": {"name": "x"}},
    ]
    for named in ("spec.template.spec.volumes[2].hostPath", "spec.template.spec.volumes[2].configMap"):
        assert repairs(desired_body, live, [named]) == expected


def test_an_entry_with_the_same_name_and_another_port_is_replaced():
    desired_body = {"spec": {"ports": [{"name": "http", "port": 80}]}}
    live = {"spec": {"ports": [{"name": "http", "port": 81}]}}
    expected = [{"op": "replace", "path": "/spec/ports/0", "value": {"name": "http", "port": 80}}]
    assert repairs(desired_body, live, ["spec.ports[1].name"]) == expected


def test_an_entry_with_the_same_port_and_another_protocol_is_replaced():
    desired_body = {"spec": {"ports": [{"name": "http", "port": 80}]}}
    live = {"spec": {"ports": [{"name": "http", "port": 80, "protocol": "UDP"}]}}
    expected = [{"op": "replace", "path": "/spec/ports/0", "value": {"name": "http", "port": 80}}]
    assert repairs(desired_body, live, ["spec.ports[1].name"]) == expected


def _workload(*, ports, volumes, **container):
    containers = [{"name": "model", "ports": ports, **container}]
    return {"spec": {"template": {"spec": {"containers": containers, "volumes": volumes}}}}


_MODEL = _workload(
    ports=[{"name": "http", "containerPort": 8000}],
    volumes=[{"name": "a", "configMap": {"name": "x"}}],
    env=[{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
    lifecycle={"preStop": {"sleep": {"seconds": 5}}},
    livenessProbe={"httpGet": {"port": "http"}},
)


def _of_model(field):
    return _MODEL["spec"]["template"]["spec"]["containers"][0][field]


def test_conflicting_fields_that_kubernetes_before_1_34_accepts_in_a_statefulset_are_removed():
    live = _workload(
        ports=[{"name": "http", "containerPort": 1}, *_of_model("ports"), {"name": "http", "containerPort": 2}],
        volumes=[{"name": "a", "configMap": {"name": "x", "defaultMode": 420}, "emptyDir": {}}],
        env=[{**_of_model("env")[0], "valueFrom": {}}, {**_of_model("env")[1], "value": "1"}],
        lifecycle={"preStop": {**_of_model("lifecycle")["preStop"], "exec": {}}},
        livenessProbe={**_of_model("livenessProbe"), "exec": {}, "periodSeconds": 10},
    )
    container = "/spec/template/spec/containers/0"
    assert overlooked(_MODEL, live) == [
        {"op": "remove", "path": f"{container}/ports/2"},
        {"op": "remove", "path": f"{container}/ports/0"},
        {"op": "remove", "path": f"{container}/livenessProbe/exec"},
        {"op": "remove", "path": f"{container}/lifecycle/preStop/exec"},
        {"op": "remove", "path": f"{container}/env/1/value"},
        {"op": "remove", "path": f"{container}/env/0/valueFrom"},
        {"op": "remove", "path": "/spec/template/spec/volumes/0/emptyDir"},
    ]


def test_fields_that_replace_the_operators_fields_are_left_to_the_apply():
    """An admission webhook may replace them after every apply."""
    live = _workload(
        ports=[{"name": "http", "containerPort": 1}], volumes=[{"name": "a", "emptyDir": {}}, {"name": "b", "nfs": {}}]
    )
    assert overlooked(_MODEL, live) == []
    assert overlooked(_MODEL, _MODEL) == []


def test_the_other_member_of_a_disruption_budget_is_replaced_and_other_fields_stay():
    desired_body = {"spec": {"maxUnavailable": 1}}
    live = {"spec": {"minAvailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}}
    expected = [
        {"op": "remove", "path": "/spec/minAvailable"},
        {"op": "add", "path": "/spec/maxUnavailable", "value": 1},
    ]
    assert repairs(desired_body, live, ["spec"]) == expected


@pytest.mark.parametrize(
    ("desired_body", "live", "rejected"),
    [
        ({"spec": {"clusterIP": "None"}}, {"spec": {"clusterIPs": ["a"], "externalIPs": ["b"]}}, "spec.clusterIPs[0]"),
        ({"spec": {"clusterIP": "None"}}, {"spec": {"clusterIP": "a", "sessionAffinity": "ClientIP"}}, "spec"),
        ({"data": {"a": "1"}}, {"data": {"b": "2"}, "immutable": True}, "immutable"),
        ({"data": {"a": "1"}}, {"data": {"a": "2", "b": "2"}, "immutable": True}, "data"),
        ({"metadata": {"labels": {"a": "1"}}}, {"metadata": {"labels": {"b": "2"}}}, "metadata.labels"),
        ({"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"b": "1"}}}, "spec.selector"),
        (
            {"spec": {"template": {"spec": {"volumes": []}}}},
            {"spec": {"template": {"spec": {"hostPID": True, "initContainers": [{"name": "mesh"}]}}}},
            "spec.template.spec.hostPID",
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x"}]}}}},
            {"spec": {"template": {"spec": {"containers": [{"name": "a", "workingDir": "/", "tty": True}]}}}},
            "spec.template.spec.containers[0].tty",
        ),
    ],
)
def test_a_rejected_field_that_is_no_member_of_a_union_removes_no_fields_of_others(desired_body, live, rejected):
    assert repairs(desired_body, live, [rejected]) == []


def test_an_object_without_conflicts_needs_no_repair():
    same = {"spec": {"ports": [{"name": "http", "port": 80}]}}
    assert repairs(same, same, ["spec.ports[0].port", "metadata.name", "", "spec"]) == []
