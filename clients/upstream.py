"""Serves the scripted upstreams behind the tested router with one small OpenAI-compatible server.

    python clients/upstream.py

The server prints its URL. `/router/v1` is the router model, and `/NAME/v1` is the target NAME. `GET /received` returns
the requests to targets since the last `DELETE /received`. A target's answer depends only on the request. The router
model chooses another target for each decision, so that a tool loop cannot stay with its target by chance.

The question determines a target's answer:

- `NAME {"key": "value"}` calls the tool NAME with these arguments, if the request offers it. The question can contain
  several such calls.
- Otherwise, a tool is called with generated arguments if its name is in the question or `tool_choice` requires a call.
- After tool results, the answer repeats the results.
- With a `json_schema`, the answer is the JSON in the question if it has the schema's keys, otherwise generated JSON.
- `status 422: words` returns an error with this status and message.
- Any other question is repeated.
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


class Upstreams:
    """The state of the upstreams: the requests to targets, and the number of decisions."""

    def __init__(self) -> None:
        self.received: list[Body] = []
        self.decisions = itertools.count()

    async def router_model(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return web.json_response(_completion(body, [_decision(body, self.decisions)]))

    async def target(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.received.append({"target": request.match_info["name"], "headers": dict(request.headers), "body": body})
        if failure := re.search(r"status (\d{3}): (.*)", _question(body)):
            error = {"message": failure[2], "type": "invalid_request_error", "param": None, "code": None}
            return web.json_response({"error": error}, status=int(failure[1]))
        choices = [_choice(body, index) for index in range(body.get("n") or 1)]
        if not body.get("stream"):
            return web.json_response(_completion(body, choices))
        return await _stream(request, body, choices)

    async def list_received(self, _: web.Request) -> web.Response:
        return web.json_response(self.received)

    async def clear_received(self, _: web.Request) -> web.Response:
        self.received.clear()
        return web.json_response({})


async def models(request: web.Request) -> web.Response:
    name = request.match_info.get("name", "the-router")
    model = {"id": name, "object": "model", "created": 1, "owned_by": "clients", "max_model_len": 131072}
    return web.json_response({"object": "list", "data": [model]})


# Functions of the router model.


def _decision(body: Body, decisions: Iterator[int]) -> Body:
    offered = [tool["function"]["name"] for tool in body["tools"]]
    if "select_response" in offered:
        results = [json.loads(message["content"]) for message in body["messages"] if message["role"] == "tool"]
        answered = [result["call_id"] for result in results if "answer" in result]
        if answered:
            return _tool_calls([("select_response", {"call_id": answered[-1]})], index=0)
    targets = [name for name in offered if name.startswith("call_")]
    return _tool_calls([(targets[next(decisions) % len(targets)], {})], index=0)


# Functions for the answers of a target.


def _choice(body: Body, index: int) -> Body:
    if calls := _calls(body):
        return _tool_calls(calls, index)
    text = _text(body)
    for stop in _as_list(body.get("stop")):
        text = text.partition(stop)[0]
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [_logprob(body, token) for token in _tokens(text)], "refusal": None}
    return choice


def _tool_calls(calls: list[tuple[str, Body]], index: int) -> Body:
    tool_calls = [
        {
            "id": f"call_{index}_{number}",
            "type": "function",
            "function": {"name": name, "arguments": _compact(arguments)},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": tool_calls}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": "tool_calls"}


def _calls(body: Body) -> list[tuple[str, Body]]:
    """Returns the tool calls of an answer: the name and the arguments of each tool."""
    choice = body.get("tool_choice") or "auto"
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    if not tools or choice == "none":
        return []
    question = _question(body)
    if isinstance(choice, dict):
        return [_with_arguments(tools[choice["function"]["name"]], question)]
    answered = body["messages"][-1]["role"] == "tool"
    if not answered and (explicit := list(_explicit_calls(question, tools))):
        return explicit
    called = {call["function"]["name"] for message in body["messages"] for call in message.get("tool_calls") or ()}
    chosen = [] if answered else [name for name in tools if _mentions(question, name)]
    if not chosen and choice == "required":
        chosen = [name for name in tools if name not in called][-1:] or list(tools)[-1:]
    return [_with_arguments(tools[name], question) for name in chosen]


def _explicit_calls(question: str, tools: Body) -> Iterator[tuple[str, Body]]:
    """Yields the calls that the question contains as `NAME {…}`."""
    for match in re.finditer(r"(\w+) (?=\{)", question):
        if match[1] in tools:
            yield match[1], json.JSONDecoder().raw_decode(question, match.end())[0]


def _mentions(question: str, tool: str) -> bool:
    words = [
        word for word in tool.lower().split("_") if word not in ("get", "tool", "final", "result", "transfer", "to")
    ]
    return tool in question or (bool(words) and all(word in question.lower() for word in words))


def _with_arguments(function: Body, question: str) -> tuple[str, Body]:
    schema = function.get("parameters") or {}
    return function["name"], _value(schema, schema, question, iter(re.findall(r"\d+", question)))


def _text(body: Body) -> str:
    response_format = body.get("response_format") or {}
    question = _question(body)
    if response_format.get("type") == "json_schema":
        schema = response_format["json_schema"]["schema"]
        return json.dumps(_value(schema, schema, question, iter(re.findall(r"\d+", question))))
    if response_format.get("type") == "json_object":
        keys = re.findall(r"[`'\"](\w+)[`'\"]", question) or ["answer"]
        return json.dumps({key: f"{key} of it" for key in keys})
    last = body["messages"][-1]
    if last["role"] == "tool":
        results = itertools.takewhile(lambda message: message["role"] == "tool", reversed(body["messages"]))
        return "The tool said: " + " and ".join(reversed([_content(message) for message in results]))
    return f"You said: {_content(last)}"


def _value(schema: Body, root: Body, question: str, numbers: Iterator[str]) -> Any:
    """Returns a value that a JSON schema accepts. Supports only the keywords that the clients' tests use."""
    if "$ref" in schema:
        return _value(_resolve(root, schema["$ref"]), root, question, numbers)
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
    match = re.search(r"\{.*\}", question, re.S)
    if match and set(schema.get("required", ())) <= set(value := _json(match[0])) <= set(properties):
        return value
    return {name: _value(property_, root, question, numbers) for name, property_ in properties.items()}


def _json(text: str) -> Body:
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}


def _resolve(root: Body, reference: str) -> Body:
    for step in reference.removeprefix("#").strip("/").split("/"):
        root = root[step] if step else root
    return root


def _question(body: Body) -> str:
    """Returns the text of the last message that is neither a tool result nor a tool call."""
    questions = [message for message in body["messages"] if message["role"] != "tool" and not message.get("tool_calls")]
    return _content(questions[-1]) if questions else ""


def _content(message: Body) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text") or f"[{part['type']}]" for part in content)


# Functions that format answers.


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
    completion = sum(len(_tokens(_compact(choice["message"]))) for choice in choices)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _logprob(body: Body, token: str) -> Body:
    logprob = {"token": token, "logprob": -0.25, "bytes": list(token.encode())}
    return {**logprob, "top_logprobs": [logprob] * (body.get("top_logprobs") or 0)}


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
    logprobs = iter((choice["logprobs"] or {}).get("content", ()))
    yield _delta(index, {"role": "assistant", "content": None if message.get("tool_calls") else "", "refusal": None})
    for token in _tokens(message["content"] or ""):
        logprob = next(logprobs, None)
        yield _delta(index, {"content": token}, [logprob] if logprob else None)
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        first = {"index": number, **call, "function": {"name": function["name"], "arguments": ""}}
        yield _delta(index, {"tool_calls": [first]})
        for part in re.findall(r".{1,6}", function["arguments"], re.S):
            yield _delta(index, {"tool_calls": [{"index": number, "function": {"arguments": part}}]})
    yield {**_delta(index, {}), "finish_reason": choice["finish_reason"]}


def _delta(index: int, delta: Body, logprobs: list[Body] | None = None) -> Body:
    content = {"content": logprobs, "refusal": None} if logprobs else None
    return {"index": index, "delta": delta, "logprobs": content, "finish_reason": None}


def _event(data: Body) -> bytes:
    return f"data: {_compact(data)}\n\n".encode()


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def application() -> web.Application:
    upstreams = Upstreams()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.add_routes(
        [
            web.post("/router/v1/chat/completions", upstreams.router_model),
            web.get("/router/v1/models", models),
            web.post("/{name}/v1/chat/completions", upstreams.target),
            web.get("/{name}/v1/models", models),
            web.get("/received", upstreams.list_received),
            web.delete("/received", upstreams.clear_received),
        ]
    )
    return application


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
