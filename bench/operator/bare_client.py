"""Implements the bare client, which only watches RouterDeployments and applies the children of each new one.

The command line of the bare client is `bare_client.py KUBECONFIG`. The bare client has the operator's concurrency and
sends the operator's manifests as prepared bytes. On the same cluster, no operator that creates the same children can be
much faster than the bare client.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path

import aiohttp
import yaml
from rl_router_operator import resources
from rl_router_operator.cluster.client import path_of
from rl_router_operator.controller.settings import Settings
from rl_router_operator.objects.kinds import BY_NAME, ROUTER
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources.defaults import Defaults

NAMESPACE = "default"
_NAME, _UID = "name-of-a-router", "uid-of-a-router"
_APPLY = {"Content-Type": "application/apply-patch+yaml"}


def _requests() -> list[tuple[str, bytes]]:
    """Returns the path and the body of each apply request, with placeholders for a RouterDeployment's name and uid."""
    metadata = {"name": _NAME, "namespace": NAMESPACE, "uid": _UID}
    children = resources.desired(read({"metadata": metadata, "spec": {}}), Defaults())
    return [(_path(child["kind"], child["metadata"]["name"]), _body(child)) for child in children]


def _path(kind: str, name: str) -> str:
    return f"{path_of(BY_NAME[kind], NAMESPACE, name)}?fieldManager=bare-client&force=false"


def _body(child: dict[str, object]) -> bytes:
    return json.dumps(child).encode()


async def _apply(session: aiohttp.ClientSession, new: asyncio.Queue[tuple[str, str]]) -> None:
    requests = _requests()
    while True:
        name, uid = await new.get()
        for path, body in requests:
            data = body.replace(_NAME.encode(), name.encode()).replace(_UID.encode(), uid.encode())
            async with session.patch(path.replace(_NAME, name), data=data, headers=_APPLY) as response:
                await response.read()
                response.raise_for_status()


async def _watch(session: aiohttp.ClientSession, new: asyncio.Queue[tuple[str, str]]) -> None:
    async with session.get(path_of(ROUTER, NAMESPACE)) as response:
        version = (await response.json())["metadata"]["resourceVersion"]
    query = {"watch": "true", "resourceVersion": version}
    async with session.get(path_of(ROUTER, NAMESPACE), params=query) as response:
        async for line in response.content:
            event = json.loads(line)
            if event["type"] == "ADDED":
                new.put_nowait((event["object"]["metadata"]["name"], event["object"]["metadata"]["uid"]))


async def _run(kubeconfig: Path) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    headers = {"Authorization": f"Bearer {user['token']}"}
    connector, timeout = aiohttp.TCPConnector(ssl=tls), aiohttp.ClientTimeout(total=None)
    new: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async with (
        aiohttp.ClientSession(cluster["server"], connector=connector, headers=headers, timeout=timeout) as session,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(_watch(session, new))
        for _ in range(Settings.workers):
            tasks.create_task(_apply(session, new))


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
