"""Holding back a roll-out, mending unions, comparing with what is there: by plain values."""

from __future__ import annotations

import copy

from made import children
from rl_router_operator.changes.drift import is_applied
from rl_router_operator.changes.edit_conflicts import overlooked, repairs
from rl_router_operator.changes.rollout import RELEASED, held_back
from rl_router_operator.resources.defaults import Defaults, Images

NAME = ("StatefulSet", "demo-model")


def wanted(image: str = "old", **spec):
    return children(Defaults(images=Images(llamacpp=image)), **spec)[NAME]


def stored(applied):
    """As the API server would have it after the apply."""
    live = copy.deepcopy(applied)
    owned = {"f:metadata": {"f:annotations": {f"f:{RELEASED}": {}}}}
    entry = {"manager": "rl-router-operator", "operation": "Apply", "fieldsV1": owned}
    live["metadata"]["managedFields"] = [entry]
    return live


def partition(manifest):
    return manifest["spec"]["updateStrategy"]["rollingUpdate"]["partition"]


def test_a_new_one_is_not_held_back():
    assert partition(held_back(wanted(), None)) == 0


def test_a_newer_operators_template_is_held_back_for_every_pod():
    live = stored(held_back(wanted(model={"replicas": 3}), None))
    assert partition(held_back(wanted("new", model={"replicas": 3}), live)) == 3


def test_it_stays_held_back():
    live = stored(held_back(wanted(), None))
    live = stored(held_back(wanted("new"), live))
    assert partition(held_back(wanted("new"), live)) == 1


def test_what_is_held_back_stays_so_though_somebody_edits_the_annotation_that_says_so():
    live = stored(held_back(wanted(model={"replicas": 3}), None))
    live = stored(held_back(wanted("new", model={"replicas": 3}), live))
    live["metadata"]["annotations"][RELEASED] = "edited"
    live["metadata"]["managedFields"][0]["fieldsV1"] = {}
    live = stored(held_back(wanted("new", model={"replicas": 3}), live))
    assert partition(live) == 3
    assert partition(held_back(wanted("new", model={"replicas": 3}), live)) == 3


def test_a_change_of_the_model_lets_it_go():
    live = stored(held_back(wanted(), None))
    live = stored(held_back(wanted("new"), live))
    assert partition(held_back(wanted("new", model={"maxModelLen": 2048}), live)) == 0


def test_the_operator_that_let_it_go_holds_nothing_back():
    live = stored(held_back(wanted(), None))
    live = stored(held_back(wanted("new"), live))
    assert partition(held_back(wanted("old"), live)) == 0


def test_an_edited_template_is_not_held_back():
    live = stored(held_back(wanted(), None))
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "edited"
    assert partition(held_back(wanted(), live)) == 0


def test_where_nothing_runs_nothing_is_held_back():
    live = stored(held_back(wanted(), None))
    assert partition(held_back(wanted("new", suspend=True), live)) == 0


def _live(spec, **fields):
    entry = {"manager": "rl-router-operator", "operation": "Apply", "fieldsV1": fields}
    metadata = {"name": "x", "managedFields": [entry]}
    return {"metadata": metadata, "spec": spec}


def _desired(spec):
    return {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec}


def test_defaults_and_others_fields_are_no_difference():
    live = _live({"a": 1, "default": 2}, **{"f:spec": {"f:a": {}}})
    assert is_applied(_desired({"a": 1}), live)


def test_a_value_a_lost_field_and_one_too_many_are_differences():
    owned = {"f:spec": {"f:a": {}}}
    assert not is_applied(_desired({"a": 2}), _live({"a": 1}, **owned))
    assert not is_applied(_desired({"a": 1}), _live({"a": 1}))
    assert not is_applied(_desired({"b": 1}), _live({"a": 1, "b": 1}, **owned))


def test_quantities_are_compared_by_their_amount_and_texts_by_their_letters():
    owned = {"f:spec": {"f:requests": {"f:cpu": {}}, "f:value": {}}}
    live = _live({"requests": {"cpu": "1"}, "value": "1"}, **owned)
    assert is_applied(_desired({"requests": {"cpu": "1000m"}, "value": "1"}), live)
    assert not is_applied(_desired({"requests": {"cpu": "1"}, "value": "1000m"}), live)


def test_keyed_lists_are_compared_by_key_whatever_their_order():
    owned = {"f:spec": {"f:list": {'k:{"name":"b"}': {".": {}, "f:name": {}, "f:value": {}}}}}
    live = _live({"list": [{"name": "theirs"}, {"name": "b", "value": 1}]}, **owned)
    assert is_applied(_desired({"list": [{"name": "b", "value": 1}]}), live)
    assert not is_applied(_desired({"list": [{"name": "b", "value": 2}]}), live)
    assert not is_applied(_desired({"list": []}), live)


def _union(volumes):
    return {"spec": {"volumes": volumes}}


def test_another_member_is_exchanged_for_ours_in_its_own_entry_alone():
    ours = _union([{"name": "a", "configMap": {"name": "x"}}, {"name": "b", "emptyDir": {}}])
    live = _union([{"name": "b", "emptyDir": {"medium": "Memory"}}, {"name": "a", "hostPath": {"path": "/"}}])
    expected = [
        {"op": "remove", "path": "/spec/volumes/1/hostPath"},
        {"op": "add", "path": "/spec/volumes/1/configMap", "value": {"name": "x"}},
    ]
    for named in ("spec.volumes[2].hostPath", "spec.volumes[2].configMap"):
        assert repairs(ours, live, [named]) == expected


def test_an_entry_under_another_key_gives_way_to_ours():
    ours = {"spec": {"ports": [{"name": "http", "port": 80}]}}
    live = {"spec": {"ports": [{"name": "http", "port": 81}]}}
    expected = [{"op": "replace", "path": "/spec/ports/0", "value": {"name": "http", "port": 80}}]
    assert repairs(ours, live, ["spec.ports[1].name"]) == expected


def test_a_port_under_another_protocol_gives_way_to_ours():
    ours = {"spec": {"ports": [{"name": "http", "port": 80}]}}
    live = {"spec": {"ports": [{"name": "http", "port": 80, "protocol": "UDP"}]}}
    expected = [{"op": "replace", "path": "/spec/ports/0", "value": {"name": "http", "port": 80}}]
    assert repairs(ours, live, ["spec.ports[1].name"]) == expected


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


def test_what_kubernetes_before_1_34_takes_beside_ours_in_a_statefulset_is_removed():
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


def test_what_is_there_in_place_of_ours_is_left_to_the_apply():
    """An admission may exchange it each time."""
    live = _workload(
        ports=[{"name": "http", "containerPort": 1}], volumes=[{"name": "a", "emptyDir": {}}, {"name": "b", "nfs": {}}]
    )
    assert overlooked(_MODEL, live) == []
    assert overlooked(_MODEL, _MODEL) == []


def test_where_nothing_clashes_nothing_is_mended():
    same = {"spec": {"ports": [{"name": "http", "port": 80}]}}
    assert repairs(same, same, ["spec.ports[0].port", "metadata.name", "", "spec"]) == []
