"""What is known of the cluster: never older than what was known, never more than there is."""

from __future__ import annotations

from rl_router_operator.cluster.informers import key_of_child, keys_of_warning
from rl_router_operator.cluster.store import Store

KEY = ("team", "demo")


def thing(name: str = "demo-api", version: int = 1, value: str = "a", router: str = "demo"):
    labels = {"rlrouter.dev/router": router}
    metadata = {"name": name, "namespace": "team", "resourceVersion": str(version), "labels": labels}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


def store():
    changes = []
    return Store(lambda key, _gone: changes.append(key)), changes


def test_an_older_version_never_takes_a_newer_ones_place():
    known, _ = store()
    known.put(thing(version=5, value="new"), (KEY,))
    known.put(thing(version=4, value="old"), (KEY,))
    known.drop(thing(version=4))
    assert known.get("ConfigMap", "team", "demo-api")["data"] == {"value": "new"}


def test_an_answer_that_comes_after_the_news_of_a_deletion_brings_nothing_back():
    known, _ = store()
    known.put(thing(version=5), (KEY,))
    known.drop(thing(version=7))
    known.put(thing(version=6), (KEY,))
    assert len(known) == 0
    known.put(thing(version=8), (KEY,))
    assert len(known) == 1


def test_an_answer_that_comes_after_a_list_without_the_object_brings_nothing_back():
    known, _ = store()
    known.put(thing(version=5), (KEY,))
    known.replace("ConfigMap", None, [], 9)
    known.put(thing(version=7), (KEY,))
    assert len(known) == 0
    known.put(thing(version=12), (KEY,))
    assert len(known) == 1


def test_an_answer_that_comes_after_the_deletion_of_an_unknown_object_brings_nothing_back():
    known, _ = store()
    known.drop(thing(version=7))
    known.put(thing(version=6), (KEY,))
    assert len(known) == 0


def test_objects_of_a_kind_that_the_cluster_no_longer_has_are_gone_and_may_come_back():
    known, _ = store()
    known.put(thing(version=5), (KEY,))
    known.clear("ConfigMap", None)
    assert len(known) == 0
    known.put(thing(version=6), (KEY,))
    assert len(known) == 1


def test_the_answer_to_a_write_and_its_watch_event_are_one_change():
    known, changes = store()
    body = thing(version=1)
    known.put({"apiVersion": "v1", **body}, (KEY,))
    known.put({"kind": body["kind"], "apiVersion": "v1", **body}, (KEY,))
    assert changes == [KEY]


def test_deletions_are_not_remembered_for_ever():
    known, _ = store()
    for number in range(5000):
        known.put(thing(f"a-{number}", version=number + 1), (KEY,))
        known.drop(thing(f"a-{number}", version=number + 1))
    assert len(known._deleted) < 5000


def test_what_did_not_change_is_not_told():
    known, changes = store()
    known.put(thing(version=1), (KEY,))
    known.put(thing(version=2), (KEY,))
    assert changes == [KEY]
    assert known.get("ConfigMap", "team", "demo-api")["metadata"]["resourceVersion"] == "2"


def test_the_contents_differ_when_more_than_a_status_has_changed():
    known, _ = store()
    kinds = frozenset({"ConfigMap"})

    def contents():
        return known.contents(KEY, kinds)

    known.put(thing(version=1), (KEY,))
    before = contents()
    known.put({**thing(version=2), "status": {"replicas": 1}}, (KEY,))
    known.put({**thing("pod", version=3), "kind": "Pod"}, (KEY,))
    known.put(thing("another", router="other"), (("team", "other"),))
    assert contents() == before
    known.put(thing(version=4, value="b"), (KEY,))
    edited = contents()
    known.put(thing("second", version=5), (KEY,))
    added = contents()
    known.drop(thing("second", version=6))
    assert len({before, edited, added}) == 3
    assert contents() == edited


def test_a_list_takes_the_place_of_what_was_known_and_tells_what_is_gone():
    known, changes = store()
    known.put(thing("gone", version=1), (KEY,))
    known.put(thing("stays", version=2), (KEY,))
    changes.clear()
    known.replace("ConfigMap", None, [(thing("stays", version=2), (KEY,))], 9)
    assert list(known.of(KEY)) == [("ConfigMap", "stays")]
    assert changes == [KEY]


def test_it_is_told_whether_an_object_changed_or_is_gone():
    told = []
    known = Store(lambda _key, gone: told.append(gone))
    known.put(thing(version=1), (KEY,))
    known.put(thing(version=2, value="b"), (KEY,))
    known.drop(thing(version=3))
    assert told == [False, False, True]


def test_a_list_removes_nothing_that_was_written_after_it():
    known, _ = store()
    known.put(thing(version=12), (KEY,))
    known.replace("ConfigMap", None, [], 9)
    assert list(known.of(KEY)) == [("ConfigMap", "demo-api")]


def test_a_list_of_a_namespace_says_nothing_of_another():
    known, _ = store()
    known.put(thing(version=1), (KEY,))
    known.replace("ConfigMap", "elsewhere", [], 9)
    assert list(known.of(KEY)) == [("ConfigMap", "demo-api")]


def test_one_that_changes_hands_is_told_to_both():
    known, changes = store()
    known.put(thing(version=1), (KEY,))
    changes.clear()
    known.put(thing(version=2, router="other"), key_of_child(thing(router="other")))
    assert sorted(changes) == [("team", "demo"), ("team", "other")]
    assert known.of(KEY) == {}


def test_what_belongs_to_nobody_is_not_kept():
    known, changes = store()
    known.put(thing("stranger"), ())
    known.put(thing(version=1), (KEY,))
    known.put(thing(version=2), ())
    assert len(known) == 0
    assert changes == [KEY, KEY]


def test_nothing_is_kept_of_a_routerdeployment_without_objects():
    known, _ = store()
    known.put(thing(version=1), (KEY,))
    known.drop(thing(version=2))
    assert len(known) == 0
    assert set(known) == set()


def test_a_warning_is_known_by_the_name_of_what_it_is_about():
    def keys(name: str):
        return keys_of_warning({"metadata": {"namespace": "team"}, "involvedObject": {"name": name}})

    assert keys("demo-model-0") == (KEY,)
    assert keys("demo-api-5d55-abcde") == (KEY,)
    assert keys("weights-demo-model-0") == (KEY,)
    assert keys("a-model-b-api-1") == (("team", "a"), ("team", "a-model-b"))
    assert keys("something") == ()
    assert keys("-model") == ()
