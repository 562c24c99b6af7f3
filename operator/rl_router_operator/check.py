"""`python -m rl_router_operator.check NAME`: waits until a router is ready, sends it a request and checks the answer.

`helm test` runs it. It takes an API key from RL_ROUTER_API_KEY.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes.aio.config import ConfigException

from .cluster.client import Api, UnreachableError, connection
from .objects.kinds import ROUTER
from .objects.manifest import Manifest
from .objects.refusal import RefusedError

_PAUSE_SECONDS = 1.0
_ANSWER_SECONDS = 120.0
_QUESTION = {"model": "router", "max_tokens": 32, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}


class CheckError(Exception):
    """What is not as it must be, in a sentence."""


async def check(api: Api, namespace: str, name: str, seconds: float) -> str:
    """Waits so many seconds at most; what the answer says of its routing, in a line. Raises CheckError,
    UnreachableError and RefusedError."""
    end = time.monotonic() + seconds
    while True:
        router = await api.get(ROUTER, namespace, name)
        ready = _ready(router)
        if router and ready.get("status") == "True":
            return routing_of(await _ask(router["status"]["url"]))
        if time.monotonic() > end:
            raise CheckError(f"{name} was not ready within {seconds:g} s: {ready.get('message', 'it has no status')}")
        await asyncio.sleep(_PAUSE_SECONDS)


def routing_of(answer: Mapping[str, Any]) -> str:
    """A line about a completion's routing. Raises CheckError where the answer or its metadata is not whole."""
    metadata = answer.get("router_metadata") or {}
    selected = [call for call in metadata.get("call_history", ()) if call.get("selected")]
    if not (answer.get("choices") and selected and metadata.get("model_used") == selected[0].get("model_id")):
        raise CheckError(f"the answer does not say who gave it: {answer}")
    strategy, turns = metadata["routing_strategy"], metadata["turns_used"]
    return f"answered by {metadata['model_used']}: {strategy} after {turns} turn{'s' * (turns != 1)}"


def _ready(router: Manifest | None) -> Mapping[str, Any]:
    if router is None:
        return {"message": "it is not there"}
    conditions = router.get("status", {}).get("conditions", ())
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


async def _ask(url: str) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {os.environ.get('RL_ROUTER_API_KEY', 'none')}"}
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
            session.post(f"{url}/chat/completions", json=_QUESTION) as answer,
        ):
            body = await answer.json(content_type=None)
            if answer.status != 200:
                raise CheckError(f"{url} answers {answer.status}: {body}")
            return dict(body)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise CheckError(f"no answer from {url}: {error or type(error).__name__}") from error


async def _run(given: argparse.Namespace) -> str:
    api = Api(await connection(os.environ.get("KUBECONFIG")))
    try:
        return await check(api, given.namespace, given.name, given.timeout)
    finally:
        await api.close()


def main() -> int:
    """The exit status is 1 where the router does not become ready or does not answer."""
    flags = argparse.ArgumentParser(prog="python -m rl_router_operator.check", description=__doc__)
    flags.add_argument("name", help="the RouterDeployment")
    flags.add_argument("--namespace", default="default", help="its namespace (%(default)s)")
    flags.add_argument("--timeout", type=float, default=600, help="seconds to wait until it is ready (%(default)s)")
    try:
        print(asyncio.run(_run(flags.parse_args())))
    except (CheckError, RefusedError, UnreachableError, ConfigException, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
