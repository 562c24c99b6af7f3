"""Checks a router: waits until the router is ready, sends a request to the router and checks the response.

`helm test` runs this check as `python -m rl_router_operator.check --namespace=NAMESPACE --timeout=SECONDS NAME`. If
the environment variable RL_ROUTER_API_KEY is set, the check sends the value of the variable as the API key.
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

from .cluster.client import KubernetesClient
from .cluster.transport import UnreachableError, connection
from .objects.kinds import ROUTER
from .objects.manifest import Manifest
from .objects.refusal import RefusedError

_POLL_SECONDS = 1.0
_RESPONSE_SECONDS = 120.0
_REQUEST = {"model": "router", "max_tokens": 32, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}


class CheckError(Exception):
    """Raised if the check of a router fails. The message of the error says why the check failed."""


async def check(client: KubernetesClient, namespace: str, name: str, seconds: float) -> str:
    """Waits up to `seconds` seconds until a router is ready, sends a request, and returns a line about the routing.

    Raises CheckError if the check fails, UnreachableError if the API server returns no valid response, and RefusedError
    if the API server rejects a request.
    """
    end = time.monotonic() + seconds
    while True:
        router = await client.get(ROUTER, namespace, name)
        ready = _ready(router)
        if router and ready.get("status") == "True":
            return routing_of(await _complete(router["status"]["url"]))
        if time.monotonic() > end:
            reason = ready.get(
                "message", "the RouterDeployment has no condition Ready. Check that the operator is running"
            )
            raise CheckError(f"the router {name} was not ready within {seconds:g} s: {reason}")
        await asyncio.sleep(_POLL_SECONDS)


def routing_of(completion: Mapping[str, Any]) -> str:
    """Returns a line that describes how a completion was routed.

    Raises CheckError if the completion has no choices, or if the metadata names neither the selected target nor, for a
    direct answer, the router model.
    """
    metadata = completion.get("router_metadata") or {}
    strategy, model = metadata.get("routing_strategy"), metadata.get("model_used")
    is_direct = strategy == "direct_response"
    calls = metadata.get("router_calls", ()) if is_direct else metadata.get("call_history", ())
    answered = [call.get("model_id") for call in calls if is_direct or call.get("selected")]
    if not completion.get("choices") or model not in answered:
        raise CheckError(
            f"the response lacks choices or does not name the model that answered: {completion}. "
            "Check the API pods' logs"
        )
    turns = metadata["turns_used"]
    count = f"{turns} turn{'s' * (turns != 1)}"
    role = "router model" if is_direct else "target"
    return f"the {role} {model} answered after {count} with the routing strategy {strategy}"


def _ready(router: Manifest | None) -> Mapping[str, Any]:
    if router is None:
        return {"message": "the RouterDeployment does not exist. Check its name and --namespace"}
    conditions = router.get("status", {}).get("conditions", ())
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


async def _complete(url: str) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {os.environ.get('RL_ROUTER_API_KEY', 'none')}"}
    timeout = aiohttp.ClientTimeout(total=_RESPONSE_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
            session.post(f"{url}/chat/completions", json=_REQUEST) as response,
        ):
            body = await response.json(content_type=None)
            if response.status != 200:
                raise CheckError(
                    f"{url} returned status {response.status}: {body}. Check RL_ROUTER_API_KEY and the API pods' logs"
                )
            return dict(body)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise CheckError(
            f"{url} returned no valid response: {reason}. Check the network and the API pods' logs"
        ) from error


async def _run(arguments: argparse.Namespace) -> str:
    client = KubernetesClient(await connection(os.environ.get("KUBECONFIG")))
    try:
        return await check(client, arguments.namespace, arguments.name, arguments.timeout)
    finally:
        await client.close()


def main() -> int:
    """Runs the check, and returns the exit status, which is 0 if the check succeeds and otherwise 1."""
    flags = argparse.ArgumentParser(prog="python -m rl_router_operator.check", description=__doc__)
    flags.add_argument("name", help="name of the RouterDeployment")
    flags.add_argument(
        "--namespace", default="default", help="namespace of the RouterDeployment (default: %(default)s)"
    )
    flags.add_argument(
        "--timeout", type=float, default=600, help="maximum seconds to wait for a ready router (default: %(default)s)"
    )
    try:
        print(asyncio.run(_run(flags.parse_args())))
    except CheckError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (RefusedError, UnreachableError, ConfigException, OSError) as error:
        advice = "Check the kubeconfig, the address of the API server and the permission to get RouterDeployments."
        print(f"error: the RouterDeployment cannot be read: {error}. {advice}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
