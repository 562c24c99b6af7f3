"""The whole path from a RouterDeployment to its children and its status."""

from fakes.cluster.kube_client import Kube
from fakes.cluster.routers import router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually


async def test_a_routerdeployment_gets_children_and_a_status(kube: Kube, start: Start):
    await start()
    await kube.create(router())

    async def is_complete():
        await kube.existing("StatefulSet", "demo-model")
        await kube.existing("Deployment", "demo-api")
        live = await kube.existing("RouterDeployment", "demo")
        types = {condition["type"] for condition in live["status"]["conditions"]}
        assert types >= {"Ready", "ModelReady", "APIReady"}

    await eventually(is_complete)


async def test_a_deleted_child_is_recreated(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    first = await eventually(lambda: kube.existing("ConfigMap", "demo-api"))
    await kube.delete("ConfigMap", "demo-api")

    async def is_recreated():
        assert (await kube.existing("ConfigMap", "demo-api"))["metadata"]["uid"] != first["metadata"]["uid"]

    await eventually(is_recreated, within=5)
