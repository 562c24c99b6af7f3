#!/usr/bin/env python3
"""Checks a hosted router model (by default on port 8000) directly, without the router API.

Run this script first if routing does not work.

The script checks the endpoint `/health` with a plain HTTP request. With the openai package, the script checks the list
of models, an answer, a streamed answer, a tool call, and a decision that must match a JSON schema. The exit
status is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts"))

import environment

if __name__ == "__main__":
    environment.reenter(__file__)

import live_check
import openai
from live_check import require

QUESTION = [{"role": "user", "content": "Say in one sentence what a router does."}]
ROUTE = [{"role": "user", "content": "Which model should answer this: 'Write a haiku about rain'? Decide."}]
TARGETS = ("call_quick", "call_careful")


@dataclass(frozen=True)
class Host:
    """The server that the script checks, and the name of the checked model."""

    arguments: argparse.Namespace
    client: openai.OpenAI
    model: str


def main() -> int:
    arguments = _arguments()
    return live_check.guarded(lambda: _run(arguments), "bash host.sh", arguments)


def _arguments() -> argparse.Namespace:
    flags = live_check.parser("Check a hosted router model.", "http://localhost:8000/v1")
    flags.add_argument("--model", help="the model to check (default: the first model that the server lists)")
    flags.add_argument(
        "--test", choices=[*CHECKS, "all"], default="all", help="the check to run (default: %(default)s)"
    )
    return flags.parse_args()


def _run(arguments: argparse.Namespace) -> int:
    client = live_check.connect(arguments)
    if arguments.info:
        _health(Host(arguments, client, ""))
        return 0
    names = [model.id for model in client.models.list()]
    if arguments.models:
        print("\n".join(names))
        return 0
    require(bool(names), f"{arguments.url} lists no models. Start a router model with `bash host.sh`")
    model = arguments.model or names[0]
    host = Host(arguments, client, model)
    print(f"{arguments.url} serves: {', '.join(names)}. Tested model: {model}")
    selected = CHECKS if arguments.test == "all" else {arguments.test: CHECKS[arguments.test]}
    return live_check.run({name: partial(check, host) for name, check in selected.items()})


def _health(host: Host) -> None:
    print(f"  GET /health: 200 {live_check.fetch(host.arguments, '/health')}".rstrip())


def _models(host: Host) -> None:
    models = host.client.models.list().data
    for entry in models:
        found = f"`id` is {entry.id!r} and `object` is {entry.object!r}"
        require(bool(entry.id) and entry.object == "model", f"an entry of /v1/models is not a model: {found}")
    is_listed = host.model in [entry.id for entry in models]
    require(is_listed, f"/v1/models does not list the model {host.model!r}. Set --model to a listed model")
    print(f"  GET /v1/models: {live_check.plural(len(models), 'model')}")


def _completion(host: Host) -> None:
    live_check.show(live_check.ask(host.client, host.model, QUESTION))


def _stream(host: Host) -> None:
    live_check.show(live_check.ask_streamed(host.client, host.model, QUESTION))


def _tools(host: Host) -> None:
    reply = host.client.chat.completions.create(
        model=host.model, messages=ROUTE, tools=[_tool(name) for name in TARGETS], tool_choice="required",
        max_tokens=live_check.MAX_TOKENS, temperature=0,
    )  # fmt: skip
    calls = reply.choices[0].message.tool_calls or []
    for call in calls:
        require(
            call.function.name in TARGETS,
            f"the model called the function {call.function.name!r}, which the request does not offer",
        )
        _json(call.function.arguments, f"the value of `arguments` of {call.function.name}")
        print(f"  {call.function.name}({call.function.arguments})")
    if not calls:
        # llama.cpp does not enforce a tool call. The next check tests JSON schemas, which can replace tool calls.
        print(
            "  The answer has no tool call, because the engine does not enforce `tool_choice`. "
            "Set the field `router.protocol` of the router API's configuration to `json_schema` or `auto`"
        )


def _tool(name: str) -> dict:
    parameters = {"type": "object", "properties": {}, "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": f"Ask {name[5:]}.", "parameters": parameters}}


def _decision(host: Host) -> None:
    schema = {
        "type": "object", "properties": {"call": {"type": "string", "enum": list(TARGETS)}}, "required": ["call"],
        "additionalProperties": False,
    }  # fmt: skip
    reply = host.client.chat.completions.create(
        model=host.model, messages=ROUTE, max_tokens=live_check.MAX_TOKENS, temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "decision", "schema": schema, "strict": True}},
    )  # fmt: skip
    text = reply.choices[0].message.content or ""
    decision = _json(text, "the decision")
    valid = isinstance(decision, dict) and decision.get("call") in TARGETS
    require(valid, f"the answer does not match the schema of the request: {text[:200]}")
    print(f"  {json.dumps(decision)}")


def _json(text: str, name: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise live_check.CheckError(f"{name} is not JSON: {text[:200]}") from None


CHECKS: dict[str, Callable[[Host], None]] = {
    "health": _health,
    "models": _models,
    "completion": _completion,
    "stream": _stream,
    "tools": _tools,
    "decision": _decision,
}


if __name__ == "__main__":
    sys.exit(main())
