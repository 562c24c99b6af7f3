"""What the chart runs of the operator's image: bringing the definition up to date, and checking a router."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from control_plane import ADMIN, OPERATOR, ApiServer
from harness import Kube
from rl_router_operator.generate.crd import definition

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/routerdeployments.rlrouter.dev"
CALL = {"model_id": "physics", "selected": True}
ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "Because of air."}}],
    "router_metadata": {
        "model_used": "physics",
        "routing_strategy": "committed",
        "turns_used": 1,
        "call_history": [CALL],
    },
}


class Command:
    """A command of the operator's, run as a user of the API server."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._server, self._folder = server, folder

    async def run(self, module: str, *arguments: str, user: str = ADMIN, key: str = "none") -> tuple[int, str, str]:
        """The exit status and what it wrote."""
        config = self._server.write_kubeconfig(self._server.url, user, self._folder / "kubeconfig")
        variables = {**os.environ, "KUBECONFIG": str(config), "RL_ROUTER_API_KEY": key}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"rl_router_operator.{module}", *arguments, env=variables,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def command(api_server: ApiServer, tmp_path: Path) -> Command:
    """Runs the operator's commands."""
    return Command(api_server, tmp_path)


@pytest_asyncio.fixture
async def router(kube: Kube) -> AsyncIterator[Router]:
    """A RouterDeployment whose API is a small server of this machine."""
    made = Router(kube)
    await made.start()
    yield made
    await made.stop()


class Router:
    """`demo`, ready when told, and what its API answers."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._runner: web.AppRunner
        self.answer: Any = ANSWER
        self.keys: list[str] = []

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        await self._kube.create({
            "apiVersion": "rlrouter.dev/v1alpha1", "kind": "RouterDeployment", "metadata": {"name": "demo"}, "spec": {}
        })  # fmt: skip

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def says(self, ready: str, message: str) -> None:
        """Writes the status that the operator would."""
        port = self._runner.addresses[0][1]
        condition = {
            "type": "Ready",
            "status": ready,
            "reason": "Serving",
            "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        status = {"url": f"http://127.0.0.1:{port}/v1", "conditions": [condition]}
        await self._kube.merge("RouterDeployment", "demo", {"status": status}, "status")

    async def _complete(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers["Authorization"].removeprefix("Bearer "))
        return web.json_response(self.answer)


async def test_an_older_definition_is_brought_up_to_date(api_server: ApiServer, command: Command) -> None:
    older = [{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns/0"}]
    headers = {"Content-Type": "application/json-patch+json"}
    api_server.client.patch(DEFINITION, json=older, headers=headers).raise_for_status()
    status, out, _ = await command.run("install_crds")
    assert (status, "routerdeployments.rlrouter.dev" in out) == (0, True)
    columns = api_server.client.get(DEFINITION).json()["spec"]["versions"][0]["additionalPrinterColumns"]
    assert columns[0]["name"] == "Ready"


async def test_helm_may_install_another_definition_afterwards(api_server: ApiServer, command: Command) -> None:
    await command.run("install_crds")
    another = definition()
    another["spec"]["versions"][0]["additionalPrinterColumns"].pop()
    headers = {"Content-Type": "application/apply-patch+yaml"}
    answer = api_server.client.patch(DEFINITION, json=another, headers=headers, params={"fieldManager": "helm"})
    assert answer.status_code == 200, answer.text
    await command.run("install_crds")


async def test_a_definition_that_may_not_be_changed_is_one_line(command: Command) -> None:
    status, _, err = await command.run("install_crds", user=OPERATOR)
    assert status == 1
    assert err.startswith("error: cannot apply the CRD for RouterDeployments: ")
    assert err.count("\n") == 1


async def test_a_ready_router_is_asked_with_the_key(command: Command, kube: Kube, router: Router) -> None:
    await router.says("True", "It routes.")
    status, out, err = await command.run("check", "demo", "--namespace", kube.namespace, key="sk-1")
    assert (status, out, err) == (0, "answered by physics: committed after 1 turn\n", "")
    assert router.keys == ["sk-1"]


async def test_a_router_that_does_not_become_ready_is_said_with_its_reason(
    command: Command, kube: Kube, router: Router
) -> None:
    await router.says("False", "No GPU is free.")
    status, _, err = await command.run("check", "demo", "--namespace", kube.namespace, "--timeout", "0")
    assert (status, err) == (1, "error: demo was not ready within 0 s: No GPU is free.\n")


async def test_an_answer_without_its_routing_fails_the_check(command: Command, kube: Kube, router: Router) -> None:
    router.answer = {"choices": ANSWER["choices"]}
    await router.says("True", "It routes.")
    status, _, err = await command.run("check", "demo", "--namespace", kube.namespace)
    assert status == 1
    assert "does not name the selected target" in err


async def test_a_router_that_is_not_there_is_said(command: Command, kube: Kube) -> None:
    status, _, err = await command.run("check", "none", "--namespace", kube.namespace, "--timeout", "0")
    assert (status, err) == (1, "error: none was not ready within 0 s: the RouterDeployment does not exist\n")
