"""Prints decisions of the bundled policy among the catalogue's models. Calls no model, so nothing is paid."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import live_check

PROMPTS = (
    "What is the capital of France?",
    "Summarise this in one sentence: the meeting moved from Monday to Tuesday, because the room was booked.",
    "Write a Python function that returns the longest palindrome in a text, in linear time.",
    "Prove that there are infinitely many primes of the form 4k + 3.",
    "A train leaves at 9:40 and travels 312 km at 96 km/h. When does it arrive?",
)
_NOWHERE = "http://127.0.0.1:9/v1"
"""An address that no model has. The port 9 is reserved for a service that discards data (RFC 863)."""
_SHOWN = 46
"""The maximum number of characters of a prompt in the table."""


def configuration(catalogue: dict[str, Any], port: int) -> dict[str, Any]:
    """Returns a configuration of the router API with the catalogue's models as targets.

    The targets have no API keys and the address `_NOWHERE`, so that no request can reach a provider. The guard is off,
    so that the policy decides although no evidence exists.
    """
    targets = [
        {name: value for name, value in target.items() if name != "api_key_env"} | {"base_url": _NOWHERE}
        for target in catalogue["targets"]
    ]
    return {
        "targets": targets,
        "routing": {"policy": "learned", "guard": False},
        "server": {"host": "127.0.0.1", "port": port, "admin_port": 0},
    }


def show(url: str) -> None:
    """Prints the decision about each prompt of `PROMPTS`. The parameter `url` is the URL of the router API.

    Raises OSError if the router API does not answer, or answers with an error.
    """
    print(live_check.dim(f"  {'prompt':{_SHOWN}}  {'chosen target':22} {'quality':>7} {'cost':>11}"))
    for prompt in PROMPTS:
        for line in _rows(prompt, _decision(url, prompt)):
            print(line)
    print(flush=True)


def _decision(url: str, prompt: str) -> dict[str, Any]:
    """Returns the field `decision` of the router metadata that `POST /v1/route` returns for a prompt."""
    body = {"model": "router", "messages": [{"role": "user", "content": prompt}]}
    request = urllib.request.Request(
        f"{url}/v1/route", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as response:
        decision: dict[str, Any] = json.load(response)["router_metadata"]["decision"]
    return decision


def _rows(prompt: str, decision: dict[str, Any]) -> list[str]:
    chosen = next(each for each in decision["candidates"] if each["target"] == decision["chosen"])
    shown = prompt if len(prompt) <= _SHOWN else f"{prompt[: _SHOWN - 2]} …"
    cost = "unknown" if chosen["cost"] is None else f"${chosen['cost']:.6f}"
    return [
        f"  {shown:{_SHOWN}}  {chosen['target']:22} {chosen['quality']:7.2f} {cost:>11}",
        live_check.dim(f"    {decision['reason']}"),
    ]
