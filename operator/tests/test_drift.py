"""Drift: what of a child is deleted or edited is repaired within 5 s; what others add to it stays."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from harness import Kube, Start, eventually, router
from rl_router_operator.changes.drift import keys_of, owned_fields
from rl_router_operator.objects.manifest import ref_of
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

FULL = {
    "model": {
        "source": "hf://org/name",
        "chatTemplate": {"text": "{{ messages }}"},
        "storage": {"size": "1Gi"},
        "serviceAccount": {"create": True},
        "resources": {"requests": {"cpu": "1000m"}, "limits": {"memory": "1024Mi"}},
        "podTemplate": {"volumes": [{"name": "extra", "configMap": {"name": "extra"}}]},
    },
    "api": {
        "replicas": 2,
        "auth": {"anonymous": True},
        "ingress": {"host": "router.example.com"},
        "networkPolicy": {"enabled": True, "from": [{"podSelector": {}}]},
        "serviceAccount": {"create": True},
    },
    "targets": [{"name": "one", "baseUrl": "https://one.example/v1", "apiKeySecretRef": {"name": "one", "key": "key"}}],
}
CHILDREN = [
    ("ServiceAccount", "demo-api"),
    ("ServiceAccount", "demo-model"),
    ("ConfigMap", "demo-api"),
    ("ConfigMap", "demo-model"),
    ("Service", "demo-model"),
    ("Service", "demo-model-pods"),
    ("Service", "demo-api"),
    ("StatefulSet", "demo-model"),
    ("Deployment", "demo-api"),
    ("PodDisruptionBudget", "demo-api"),
    ("NetworkPolicy", "demo-model"),
    ("NetworkPolicy", "demo-api"),
    ("Ingress", "demo-api"),
]
REPAIR_SECONDS = 5


async def settled(kube: Kube, start: Start, spec: dict[str, Any] | None = None) -> dict[tuple[str, str], Any]:
    """An operator, and the children of `demo` once all are there."""
    await start()
    body = await kube.create(router(**(FULL if spec is None else spec)))
    wanted = [ref_of(child) for child in desired(read(body), Defaults())]

    async def there():
        found = {ref: await kube.get(*ref) for ref in wanted}
        assert all(found.values())
        return found

    return await eventually(there)


def test_every_kind_of_child_is_looked_at():
    body = router(**FULL)
    body["metadata"].update(namespace="x", uid="y")
    assert {ref_of(child) for child in desired(read(body), Defaults())} == set(CHILDREN)


async def test_every_deleted_child_is_back(kube: Kube, start: Start):
    before = await settled(kube, start)
    for ref in before:
        await kube.delete(*ref)

    async def back():
        for ref in before:
            found = await kube.get(*ref)
            assert found, ref
            assert found["metadata"]["uid"] != before[ref]["metadata"]["uid"], ref

    await eventually(back, within=REPAIR_SECONDS)


async def test_every_field_that_is_ours_is_repaired(kube: Kube, start: Start):
    for ref, before in (await settled(kube, start)).items():
        await is_repaired_field_by_field(kube, ref, before)


async def is_repaired_field_by_field(kube: Kube, ref: tuple[str, str], before: dict[str, Any]) -> None:
    """Edits each field of a child that is ours, and sees it repaired."""
    paths = list(_leaves(owned_fields(before), before, ()))
    assert paths, ref
    for path in paths:
        edited = copy.deepcopy(await kube.get(*ref))
        if not _edit(edited, path):
            continue
        answer = await kube.client.put(kube.path(*ref), params={"fieldManager": "somebody"}, json=edited)
        if answer.is_client_error:
            continue  # the API server takes no such edit from anybody
        await eventually(lambda path=path: _is_as_before(kube, ref, before, path), within=REPAIR_SECONDS)


async def _is_as_before(kube: Kube, ref, before, path):
    live = await kube.get(*ref)
    assert _value(live, path) == _value(before, path), (ref, path)


def _leaves(owned: Any, live: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The paths of the values that are ours; an entry of a keyed list by its index."""
    for step, below in owned.items():
        if step.startswith("f:") and step[2:] in live:
            name = step[2:]
            if below and isinstance(live[name], dict | list):
                yield from _leaves(below, live[name], (*path, name))
            else:
                yield (*path, name)
    for keys, below in keys_of(owned):
        for index, entry in enumerate(live if isinstance(live, list) else ()):
            if all(entry.get(key) == value for key, value in keys.items()):
                if below:
                    yield from _leaves(below, entry, (*path, index))
                else:
                    yield (*path, index)


def _value(body: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        body = body[step]
    return body


def _edit(body: Any, path: tuple[Any, ...]) -> bool:
    """Writes something else into the field, or takes it away."""
    parent = _value(body, path[:-1])
    value = parent[path[-1]]
    match value:
        case bool():
            parent[path[-1]] = not value
        case int():
            parent[path[-1]] = value + 1
        case str() if path[-1] in ("name", "mountPath", "topologyKey") and isinstance(path[-2], int):
            return False  # the key of an entry: another key is another entry
        case str():
            parent[path[-1]] = f"{value}0" if value[:1].isdigit() else f"{value}x"
        case dict() | list():
            del parent[path[-1]]
    return True


async def test_what_others_add_stays(kube: Kube, start: Start):
    await settled(kube, start)
    marked = {"metadata": {"labels": {"team": "red"}, "annotations": {"mesh.example/mode": "on"}}}
    for ref in CHILDREN:
        await kube.merge(*ref, marked)
    live = await kube.get("Deployment", "demo-api")
    live["spec"]["template"]["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})
    live["spec"]["template"]["metadata"]["annotations"] = {"mesh.example/injected": "true"}
    await kube.replace(live)
    # A repair that happened after all of this shows that it was looked at.
    await kube.merge("Deployment", "demo-api", {"spec": {"replicas": 9}})

    async def repaired():
        deployment = await kube.get("Deployment", "demo-api")
        assert deployment["spec"]["replicas"] == 2
        return deployment

    deployment = await eventually(repaired, within=REPAIR_SECONDS)
    assert [each["name"] for each in deployment["spec"]["template"]["spec"]["containers"]] == ["api", "mesh"]
    assert deployment["spec"]["template"]["metadata"]["annotations"] == {"mesh.example/injected": "true"}
    for ref in CHILDREN:
        metadata = (await kube.get(*ref))["metadata"]
        assert metadata["labels"]["team"] == "red"
        assert metadata["annotations"]["mesh.example/mode"] == "on"


async def test_a_removed_label_of_ours_is_back(kube: Kube, start: Start):
    await settled(kube, start)
    await kube.merge("Service", "demo-api", {"metadata": {"labels": {"rlrouter.dev/router": None}}})

    async def back():
        live = await kube.get("Service", "demo-api")
        assert live["metadata"]["labels"]["rlrouter.dev/router"] == "demo"

    await eventually(back, within=REPAIR_SECONDS)


async def test_a_removed_owner_is_back(kube: Kube, start: Start):
    before = await settled(kube, start)
    live = before["ConfigMap", "demo-api"]
    owners = live["metadata"]["ownerReferences"]
    await kube.merge("ConfigMap", "demo-api", {"metadata": {"ownerReferences": None}})

    async def back():
        assert (await kube.get("ConfigMap", "demo-api"))["metadata"].get("ownerReferences") == owners

    await eventually(back, within=REPAIR_SECONDS)


async def test_another_member_of_a_union_is_removed(kube: Kube, start: Start):
    await settled(kube, start)
    live = await kube.get("StatefulSet", "demo-model")
    for volume in live["spec"]["template"]["spec"]["volumes"]:
        if volume["name"] == "extra":
            del volume["configMap"]
            volume["emptyDir"] = {}
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["livenessProbe"] = {"exec": {"command": ["true"]}}
    await kube.replace(live)

    async def mended():
        spec = (await kube.get("StatefulSet", "demo-model"))["spec"]["template"]["spec"]
        (extra,) = [each for each in spec["volumes"] if each["name"] == "extra"]
        assert extra["configMap"]["name"] == "extra"
        assert "emptyDir" not in extra
        assert "exec" not in spec["containers"][0]["livenessProbe"]
        assert "httpGet" in spec["containers"][0]["livenessProbe"]

    await eventually(mended, within=REPAIR_SECONDS)
    await kube.merge("RouterDeployment", "demo", {"spec": {"model": {"podTemplate": {"volumes": None}}}})

    async def nothing_is_left_of_it():
        spec = (await kube.get("StatefulSet", "demo-model"))["spec"]["template"]["spec"]
        assert "extra" not in [each["name"] for each in spec["volumes"]]

    await eventually(nothing_is_left_of_it, within=REPAIR_SECONDS)


async def test_a_budget_that_was_turned_around_is_turned_back(kube: Kube, start: Start):
    await settled(kube, start)
    live = await kube.get("PodDisruptionBudget", "demo-api")
    del live["spec"]["maxUnavailable"]
    live["spec"]["minAvailable"] = 1
    await kube.replace(live)

    async def back():
        spec = (await kube.get("PodDisruptionBudget", "demo-api"))["spec"]
        assert spec["maxUnavailable"] == 1
        assert "minAvailable" not in spec

    await eventually(back, within=REPAIR_SECONDS)


async def test_what_is_no_longer_asked_for_goes(kube: Kube, start: Start):
    await settled(kube, start)
    await kube.merge("RouterDeployment", "demo", {"spec": {"api": {"ingress": None, "replicas": 1}}})

    async def gone():
        assert await kube.get("Ingress", "demo-api") is None
        assert await kube.get("PodDisruptionBudget", "demo-api") is None

    await eventually(gone, within=REPAIR_SECONDS)
