"""The commands of the operator's image that the chart runs: they update the CRD and check a router."""

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
from rl_router_operator.generate.crd import definition

from fakes.cluster import routers
from fakes.cluster.control_plane import ADMIN, OPERATOR, ApiServer
from fakes.cluster.kube_client import Kube

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/routerdeployments.rlrouter.dev"
CALL = {"model_id": "physics", "selected": True}
RESPONSE = {
    "choices": [{"message": {"role": "assistant", "content": "Because of air."}}],
    "router_metadata": {
        "model_used": "physics",
        "routing_strategy": "committed",
        "turns_used": 1,
        "call_history": [CALL],
    },
}


class Command:
    """Runs commands of the operator as a user of the API server."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._server, self._folder = server, folder

    async def run(self, module: str, *arguments: str, user: str = ADMIN, key: str = "none") -> tuple[int, str, str]:
        """Returns the exit code, stdout and stderr."""
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
    """Runs commands against the test's API server."""
    return Command(api_server, tmp_path)


@pytest_asyncio.fixture
async def router(kube: Kube) -> AsyncIterator[Router]:
    """A RouterDeployment whose API is a small local server."""
    started = Router(kube)
    await started.start()
    yield started
    await started.stop()


class Router:
    """`demo` with a status that the test sets, and a fake API."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._runner: web.AppRunner
        self.response: Any = RESPONSE
        self.keys: list[str] = []

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        await self._kube.create(routers.router())

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def set_ready(self, ready: str, message: str) -> None:
        """Writes the condition Ready as the operator would."""
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
        return web.json_response(self.response)


async def test_install_crds_updates_an_older_crd(api_server: ApiServer, command: Command) -> None:
    older = [{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns/0"}]
    headers = {"Content-Type": "application/json-patch+json"}
    api_server.client.patch(CRD, json=older, headers=headers).raise_for_status()
    status, out, _ = await command.run("install_crds")
    assert (status, "routerdeployments.rlrouter.dev" in out) == (0, True)
    columns = api_server.client.get(CRD).json()["spec"]["versions"][0]["additionalPrinterColumns"]
    assert columns[0]["name"] == "Ready"


async def test_helm_can_apply_another_crd_after_install_crds(api_server: ApiServer, command: Command) -> None:
    await command.run("install_crds")
    other = definition()
    other["spec"]["versions"][0]["additionalPrinterColumns"].pop()
    headers = {"Content-Type": "application/apply-patch+yaml"}
    response = api_server.client.patch(CRD, json=other, headers=headers, params={"fieldManager": "helm"})
    assert response.status_code == 200, response.text
    await command.run("install_crds")


async def test_install_crds_without_permission_prints_one_line(command: Command) -> None:
    status, _, err = await command.run("install_crds", user=OPERATOR)
    assert status == 1
    assert err.startswith("error: cannot apply the CRD for RouterDeployments: ")
    assert err.count("\n") == 1


async def test_check_sends_a_request_with_the_key_to_a_ready_router(
    command: Command, kube: Kube, router: Router
) -> None:
    await router.set_ready("True", "It routes.")
    status, out, err = await command.run("check", "demo", "--namespace", kube.namespace, key="sk-1")
    assert (status, out, err) == (
        0,
        "the target physics answered after 1 turn with the routing strategy committed\n",
        "",
    )
    assert router.keys == ["sk-1"]


async def test_check_prints_why_a_router_does_not_become_ready(command: Command, kube: Kube, router: Router) -> None:
    await router.set_ready("False", "No GPU is free.")
    status, _, err = await command.run("check", "demo", "--namespace", kube.namespace, "--timeout", "0")
    assert (status, err) == (1, "error: the router demo was not ready within 0 s: No GPU is free.\n")


async def test_check_fails_if_the_response_has_no_routing(command: Command, kube: Kube, router: Router) -> None:
    router.response = {"choices": RESPONSE["choices"]}
    await router.set_ready("True", "It routes.")
    status, _, err = await command.run("check", "demo", "--namespace", kube.namespace)
    assert status == 1
    assert "does not name the model that answered" in err


async def test_check_accepts_an_answer_that_the_router_model_wrote_itself(
    command: Command, kube: Kube, router: Router
) -> None:
    router.response = {
        "choices": RESPONSE["choices"],
        "router_metadata": {
            "model_used": "small", "routing_strategy": "direct_response", "turns_used": 1, "call_history": [],
            "router_calls": [{"model_id": "small"}],
        },
    }  # fmt: skip
    await router.set_ready("True", "It routes.")
    status, out, _ = await command.run("check", "demo", "--namespace", kube.namespace)
    message = "the router model small answered after 1 turn with the routing strategy direct_response\n"
    assert (status, out) == (0, message)


async def test_check_fails_if_the_router_does_not_exist(command: Command, kube: Kube) -> None:
    status, _, err = await command.run("check", "none", "--namespace", kube.namespace, "--timeout", "0")
    message = "the RouterDeployment does not exist. Check its name and --namespace"
    assert (status, err) == (1, f"error: the router none was not ready within 0 s: {message}\n")
