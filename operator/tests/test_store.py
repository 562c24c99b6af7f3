"""The store of live objects: versions never go back, and deleted objects do not return."""

from __future__ import annotations

from rl_router_operator.cluster.informers import key_of_child, keys_of_warning
from rl_router_operator.cluster.store import Store

KEY = ("team", "demo")


def config_map(name: str = "demo-api", version: int = 1, value: str = "a", router: str = "demo"):
    labels = {"rlrouter.dev/router": router}
    metadata = {"name": name, "namespace": "team", "resourceVersion": str(version), "labels": labels}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


def store():
    changes = []
    return Store(lambda key, _gone: changes.append(key)), changes


def test_an_older_version_does_not_replace_a_newer_one():
    objects, _ = store()
    objects.put(config_map(version=5, value="new"), (KEY,))
    objects.put(config_map(version=4, value="old"), (KEY,))
    objects.drop(config_map(version=4))
    assert objects.get("ConfigMap", "team", "demo-api")["data"] == {"value": "new"}


def test_a_response_that_is_older_than_a_deletion_does_not_restore_the_object():
    objects, _ = store()
    objects.put(config_map(version=5), (KEY,))
    objects.drop(config_map(version=7))
    objects.put(config_map(version=6), (KEY,))
    assert len(objects) == 0
    objects.put(config_map(version=8), (KEY,))
    assert len(objects) == 1


def test_a_response_that_is_older_than_a_list_without_the_object_does_not_restore_it():
    objects, _ = store()
    objects.put(config_map(version=5), (KEY,))
    objects.replace("ConfigMap", None, [], 9)
    objects.put(config_map(version=7), (KEY,))
    assert len(objects) == 0
    objects.put(config_map(version=12), (KEY,))
    assert len(objects) == 1


def test_a_response_that_is_older_than_the_deletion_of_an_unknown_object_does_not_add_it():
    objects, _ = store()
    objects.drop(config_map(version=7))
    objects.put(config_map(version=6), (KEY,))
    assert len(objects) == 0


def test_objects_of_an_uninstalled_kind_are_removed_and_may_return():
    objects, _ = store()
    objects.put(config_map(version=5), (KEY,))
    objects.clear("ConfigMap", None)
    assert len(objects) == 0
    objects.put(config_map(version=6), (KEY,))
    assert len(objects) == 1


def test_the_response_to_a_write_and_its_watch_event_are_one_change():
    objects, changes = store()
    body = config_map(version=1)
    objects.put({"apiVersion": "v1", **body}, (KEY,))
    objects.put({"kind": body["kind"], "apiVersion": "v1", **body}, (KEY,))
    assert changes == [KEY]


def test_old_deletions_are_forgotten():
    objects, _ = store()
    for number in range(5000):
        objects.put(config_map(f"a-{number}", version=number + 1), (KEY,))
        objects.drop(config_map(f"a-{number}", version=number + 1))
    assert len(objects._deleted) < 5000


def test_a_new_version_with_the_same_content_is_no_change():
    objects, changes = store()
    objects.put(config_map(version=1), (KEY,))
    objects.put(config_map(version=2), (KEY,))
    assert changes == [KEY]
    assert objects.get("ConfigMap", "team", "demo-api")["metadata"]["resourceVersion"] == "2"


def test_the_contents_change_with_anything_but_a_status():
    objects, _ = store()
    kinds = frozenset({"ConfigMap"})

    def contents():
        return objects.contents(KEY, kinds)

    objects.put(config_map(version=1), (KEY,))
    before = contents()
    objects.put({**config_map(version=2), "status": {"replicas": 1}}, (KEY,))
    objects.put({**config_map("pod", version=3), "kind": "Pod"}, (KEY,))
    objects.put(config_map("another", router="other"), (("team", "other"),))
    assert contents() == before
    objects.put(config_map(version=4, value="b"), (KEY,))
    edited = contents()
    objects.put(config_map("second", version=5), (KEY,))
    added = contents()
    objects.drop(config_map("second", version=6))
    assert len({before, edited, added}) == 3
    assert contents() == edited


def test_a_list_replaces_the_objects_and_reports_those_that_are_gone():
    objects, changes = store()
    objects.put(config_map("gone", version=1), (KEY,))
    objects.put(config_map("stays", version=2), (KEY,))
    changes.clear()
    objects.replace("ConfigMap", None, [(config_map("stays", version=2), (KEY,))], 9)
    assert list(objects.of(KEY)) == [("ConfigMap", "stays")]
    assert changes == [KEY]


def test_a_change_says_whether_the_object_is_gone():
    gone_flags = []
    objects = Store(lambda _key, gone: gone_flags.append(gone))
    objects.put(config_map(version=1), (KEY,))
    objects.put(config_map(version=2, value="b"), (KEY,))
    objects.drop(config_map(version=3))
    assert gone_flags == [False, False, True]


def test_a_list_does_not_remove_a_newer_object():
    objects, _ = store()
    objects.put(config_map(version=12), (KEY,))
    objects.replace("ConfigMap", None, [], 9)
    assert list(objects.of(KEY)) == [("ConfigMap", "demo-api")]


def test_a_list_of_one_namespace_keeps_the_objects_of_others():
    objects, _ = store()
    objects.put(config_map(version=1), (KEY,))
    objects.replace("ConfigMap", "elsewhere", [], 9)
    assert list(objects.of(KEY)) == [("ConfigMap", "demo-api")]


def test_an_object_that_moves_to_another_router_is_a_change_of_both():
    objects, changes = store()
    objects.put(config_map(version=1), (KEY,))
    changes.clear()
    objects.put(config_map(version=2, router="other"), key_of_child(config_map(router="other")))
    assert sorted(changes) == [("team", "demo"), ("team", "other")]
    assert objects.of(KEY) == {}


def test_objects_of_no_router_are_not_stored():
    objects, changes = store()
    objects.put(config_map("stranger"), ())
    objects.put(config_map(version=1), (KEY,))
    objects.put(config_map(version=2), ())
    assert len(objects) == 0
    assert changes == [KEY, KEY]


def test_the_store_has_no_entry_for_a_router_without_objects():
    objects, _ = store()
    objects.put(config_map(version=1), (KEY,))
    objects.drop(config_map(version=2))
    assert len(objects) == 0
    assert set(objects) == set()


def test_a_warning_event_belongs_to_the_routers_that_its_objects_name_fits():
    def keys(name: str):
        return keys_of_warning({"metadata": {"namespace": "team"}, "involvedObject": {"name": name}})

    assert keys("demo-model-0") == (KEY,)
    assert keys("demo-api-5d55-abcde") == (KEY,)
    assert keys("weights-demo-model-0") == (KEY,)
    assert keys("a-model-b-api-1") == (("team", "a"), ("team", "a-model-b"))
    assert keys("something") == ()
    assert keys("-model") == ()
