"""The upstreams behind the router while client software is tried: one small OpenAI-compatible server of this machine.

    python clients/upstream.py

It prints its address. Under `/router/v1` it is the router model, under `/NAME/v1` the target of that name. `GET /seen`
tells what the targets got since the last `DELETE /seen`. Every answer follows from the request alone, but for the
router model's decisions: it names another candidate each time, so that a tool loop that stays with its target was not
just lucky.

A target reads its part in what it is asked, so that clients' own tests and ours can say what they need:

- where tools are offered: `NAME {"key": "value"}` calls the tool so; several call several at once. Otherwise the
  tool that the words are about is called, or one that `tool_choice` wants, with arguments that fit its schema.
- after a tool's result it says what the tool said.
- under a `json_schema` it writes what fits; JSON in the question is taken where it has the keys.
- `status 422: words` in the question makes it fail so; anything else it says back.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

Body = dict[str, Any]


class Fleet:
    """What the upstreams remember: what the targets got, and how often the router model named one."""

    def __init__(self) -> None:
        self.seen: list[Body] = []
        self.asked = itertools.count()

    async def router_model(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return web.json_response(_completion(body, [_decision(body, self.asked)]))

    async def target(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append({"target": request.match_info["name"], "headers": dict(request.headers), "body": body})
        if failure := re.search(r"status (\d{3}): (.*)", _question(body)):
            error = {"message": failure[2], "type": "invalid_request_error", "param": None, "code": None}
            return web.json_response({"error": error}, status=int(failure[1]))
        choices = [_choice(body, index) for index in range(body.get("n") or 1)]
        if not body.get("stream"):
            return web.json_response(_completion(body, choices))
        return await _stream(request, body, choices)

    async def tell(self, _: web.Request) -> web.Response:
        return web.json_response(self.seen)

    async def forget(self, _: web.Request) -> web.Response:
        self.seen.clear()
        return web.json_response({})


async def models(request: web.Request) -> web.Response:
    name = request.match_info.get("name", "the-router")
    listed = {"id": name, "object": "model", "created": 1, "owned_by": "clients", "max_model_len": 131072}
    return web.json_response({"object": "list", "data": [listed]})


# The router model.


def _decision(body: Body, asked: Iterator[int]) -> Body:
    offered = [tool["function"]["name"] for tool in body["tools"]]
    if "select_response" in offered:
        results = [json.loads(message["content"]) for message in body["messages"] if message["role"] == "tool"]
        good = [result["call_id"] for result in results if "answer" in result]
        if good:
            return _called([("select_response", {"call_id": good[-1]})], index=0)
    targets = [name for name in offered if name.startswith("call_")]
    return _called([(targets[next(asked) % len(targets)], {})], index=0)


# A target's answers.


def _choice(body: Body, index: int) -> Body:
    if calls := _calls(body):
        return _called(calls, index)
    text = _text(body)
    for stop in _listed(body.get("stop")):
        text = text.partition(stop)[0]
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [_logprob(body, token) for token in _tokens(text)], "refusal": None}
    return choice


def _called(calls: list[tuple[str, Body]], index: int) -> Body:
    made = [
        {"id": f"call_{index}_{number}", "type": "function", "function": {"name": name, "arguments": _compact(given)}}
        for number, (name, given) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": made}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": "tool_calls"}


def _calls(body: Body) -> list[tuple[str, Body]]:
    """The tools to call, each with its arguments."""
    choice = body.get("tool_choice") or "auto"
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    if not tools or choice == "none":
        return []
    question = _question(body)
    if isinstance(choice, dict):
        return [_fitting(tools[choice["function"]["name"]], question)]
    answered = body["messages"][-1]["role"] == "tool"
    if not answered and (written := list(_written_calls(question, tools))):
        return written
    called = {call["function"]["name"] for message in body["messages"] for call in message.get("tool_calls") or ()}
    about = [] if answered else [name for name in tools if _is_about(question, name)]
    if not about and choice == "required":
        about = [name for name in tools if name not in called][-1:] or list(tools)[-1:]
    return [_fitting(tools[name], question) for name in about]


def _written_calls(question: str, tools: Body) -> Iterator[tuple[str, Body]]:
    """Calls as they stand in the question: `NAME {…}`."""
    for found in re.finditer(r"(\w+) (?=\{)", question):
        if found[1] in tools:
            yield found[1], json.JSONDecoder().raw_decode(question, found.end())[0]


def _is_about(question: str, tool: str) -> bool:
    words = [
        word for word in tool.lower().split("_") if word not in ("get", "tool", "final", "result", "transfer", "to")
    ]
    return tool in question or (bool(words) and all(word in question.lower() for word in words))


def _fitting(function: Body, question: str) -> tuple[str, Body]:
    schema = function.get("parameters") or {}
    return function["name"], _value(schema, schema, question, iter(re.findall(r"\d+", question)))


def _text(body: Body) -> str:
    form = body.get("response_format") or {}
    question = _question(body)
    if form.get("type") == "json_schema":
        schema = form["json_schema"]["schema"]
        return json.dumps(_value(schema, schema, question, iter(re.findall(r"\d+", question))))
    if form.get("type") == "json_object":
        keys = re.findall(r"[`'\"](\w+)[`'\"]", question) or ["answer"]
        return json.dumps({key: f"{key} of it" for key in keys})
    last = body["messages"][-1]
    if last["role"] == "tool":
        results = itertools.takewhile(lambda message: message["role"] == "tool", reversed(body["messages"]))
        return "The tool said: " + " and ".join(reversed([_said(message) for message in results]))
    return f"You said: {_said(last)}"


def _value(schema: Body, root: Body, question: str, numbers: Iterator[str]) -> Any:
    """A value that fits a JSON schema, as far as clients' tests use it."""
    if "$ref" in schema:
        return _value(_at(root, schema["$ref"]), root, question, numbers)
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return _value(schema[union][0], root, question, numbers)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return _object(schema, root, question, numbers)
    if kind == "array":
        return [_value(schema.get("items", {"type": "string"}), root, question, numbers)]
    if kind in ("integer", "number"):
        return int(next(numbers, "7"))
    return {"boolean": True, "null": None}.get(kind, question)


def _object(schema: Body, root: Body, question: str, numbers: Iterator[str]) -> Body:
    properties = schema.get("properties", {})
    written = re.search(r"\{.*\}", question, re.S)
    if written and set(schema.get("required", ())) <= set(given := _json(written[0])) <= set(properties):
        return given
    return {name: _value(each, root, question, numbers) for name, each in properties.items()}


def _json(text: str) -> Body:
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}


def _at(root: Body, reference: str) -> Body:
    for step in reference.removeprefix("#").strip("/").split("/"):
        root = root[step] if step else root
    return root


def _question(body: Body) -> str:
    """The user's last words."""
    asked = [message for message in body["messages"] if message["role"] != "tool" and not message.get("tool_calls")]
    return _said(asked[-1]) if asked else ""


def _said(message: Body) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text") or f"[{part['type']}]" for part in content)


# The form of answers.


def _completion(body: Body, choices: list[Body]) -> Body:
    return {**_envelope(body, "chat.completion"), "choices": choices, "usage": _usage(body, choices)}


def _envelope(body: Body, kind: str) -> Body:
    return {
        "id": "chatcmpl-clients",
        "object": kind,
        "created": int(time.time()),
        "model": f"{body['model']}-2026",
        "service_tier": "default",
        "system_fingerprint": "fp_clients",
    }


def _usage(body: Body, choices: list[Body]) -> Body:
    prompt = len(json.dumps(body["messages"])) // 4
    written = sum(len(_tokens(_compact(choice["message"]))) for choice in choices)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _logprob(body: Body, token: str) -> Body:
    one = {"token": token, "logprob": -0.25, "bytes": list(token.encode())}
    return {**one, "top_logprobs": [one] * (body.get("top_logprobs") or 0)}


async def _stream(request: web.Request, body: Body, choices: list[Body]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    envelope = _envelope(body, "chat.completion.chunk")
    for choice in choices:
        for delta in _deltas(choice):
            await response.write(_event({**envelope, "choices": [delta]}))
    if (body.get("stream_options") or {}).get("include_usage"):
        await response.write(_event({**envelope, "choices": [], "usage": _usage(body, choices)}))
    await response.write(b"data: [DONE]\n\n")
    return response


def _deltas(choice: Body) -> Iterator[Body]:
    index, message = choice["index"], choice["message"]
    spelled = iter((choice["logprobs"] or {}).get("content", ()))
    yield _delta(index, {"role": "assistant", "content": None if message.get("tool_calls") else "", "refusal": None})
    for token in _tokens(message["content"] or ""):
        yield _delta(index, {"content": token}, [each for each in [next(spelled, None)] if each])
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        begun = {"index": number, **call, "function": {"name": function["name"], "arguments": ""}}
        yield _delta(index, {"tool_calls": [begun]})
        for piece in re.findall(r".{1,6}", function["arguments"], re.S):
            yield _delta(index, {"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
    yield {**_delta(index, {}), "finish_reason": choice["finish_reason"]}


def _delta(index: int, delta: Body, logprobs: list[Body] | None = None) -> Body:
    spelled = {"content": logprobs, "refusal": None} if logprobs else None
    return {"index": index, "delta": delta, "logprobs": spelled, "finish_reason": None}


def _event(data: Body) -> bytes:
    return f"data: {_compact(data)}\n\n".encode()


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def application() -> web.Application:
    fleet = Fleet()
    made = web.Application(client_max_size=64 * 1024 * 1024)
    made.add_routes(
        [
            web.post("/router/v1/chat/completions", fleet.router_model),
            web.get("/router/v1/models", models),
            web.post("/{name}/v1/chat/completions", fleet.target),
            web.get("/{name}/v1/models", models),
            web.get("/seen", fleet.tell),
            web.delete("/seen", fleet.forget),
        ]
    )
    return made


async def main() -> None:
    runner = web.AppRunner(application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
