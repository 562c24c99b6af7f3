"""The whole path: a RouterDeployment appears, its children are made, its status is written, what is deleted is back."""

from harness import Kube, Start, eventually, router


async def test_a_routerdeployment_becomes_children_and_a_status(kube: Kube, start: Start):
    await start()
    await kube.create(router())

    async def made():
        assert await kube.get("StatefulSet", "demo-model")
        assert await kube.get("Deployment", "demo-api")
        live = await kube.get("RouterDeployment", "demo")
        assert {each["type"] for each in live["status"]["conditions"]} >= {"Ready", "ModelReady", "APIReady"}

    await eventually(made)


async def test_a_deleted_child_is_back(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    first = await eventually(lambda: _there(kube, "ConfigMap", "demo-api"))
    await kube.delete("ConfigMap", "demo-api")

    async def back():
        assert (await _there(kube, "ConfigMap", "demo-api"))["metadata"]["uid"] != first["metadata"]["uid"]

    await eventually(back, within=5)


async def _there(kube: Kube, kind: str, name: str):
    found = await kube.get(kind, name)
    assert found, f"{kind} {name} is not there"
    return found
