"""Builds the JSON that well-behaved models send: completions, decisions of a router model, chunks and usages."""

from __future__ import annotations

import json
from typing import Any

from fakes.upstreams.exchange import Body

_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "upstream-model"}


def encoded(value: object) -> bytes:
    """Returns `value` as JSON. A value of the type bytes is returned unchanged."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def usage(prompt: int = 10, completion: int = 5, **more: Any) -> Body:
    """Returns the field `usage` of a completion, which contains the numbers of tokens."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


def completion(text: str | None = "Four.", *, used: Body | None = None, message: Body | None = None) -> Body:
    """Returns a completion with one choice.

    The parameter `message` contains additional fields of the choice's message. The parameter `used` replaces the
    default usage.
    """
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "upstream-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **(message or {})},
                "finish_reason": "stop",
            }
        ],
        "usage": used or usage(),
    }


def call(function: str, **arguments: Any) -> Body:
    """Returns a function call, which can be an argument of the function `decision`."""
    return {"id": f"dec_{function}", "type": "function", "function": {"name": function, "arguments": arguments}}


def decision(*calls: Body | str, used: Body | None = None) -> Body:
    """Returns a completion of the router model with the function calls `calls`.

    If an item of `calls` is a string, the item is the name of a function that is called without arguments.
    """
    tool_calls = [_as_tool_call(call(each) if isinstance(each, str) else each) for each in calls]
    body = completion(None, used=used or usage(100, 20), message={"tool_calls": tool_calls})
    body["choices"][0]["finish_reason"] = "tool_calls"
    return body


def _as_tool_call(made: Body) -> Body:
    function = made["function"]
    return {**made, "function": {**function, "arguments": json.dumps(function["arguments"])}}


def select(name: str) -> Body:
    """Returns a decision of the router model that selects an answer.

    The parameter `name` is the id of the call, or the name of the function or of the model that gave the answer.
    """
    return decision(call("select_response", call_id=name))


def reply(text: str) -> Body:
    """Returns a completion of the router model with a text and without function calls."""
    return completion(text, used=usage(100, 20))


def chunk(delta: Body, finish: str | None = None, index: int = 0) -> Body:
    """Returns a chunk of a streamed completion. The chunk has one choice with the delta `delta`."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {**_CHUNK, "choices": [choice]}


def chunks(*texts: str, used: Body | None = None) -> list[Body]:
    """Returns the chunks of a complete stream: the role, the texts, the finish reason and the usage."""
    first = chunk({"role": "assistant", "content": ""})
    end = [chunk({}, "stop"), {**_CHUNK, "choices": [], "usage": used or usage()}]
    return [first, *[chunk({"content": text}) for text in texts or ("Fo", "ur.")], *end]


def event(data: Body | bytes) -> bytes:
    """Returns the bytes of a server-sent event with the data `data`."""
    return b"data: " + encoded(data) + b"\n\n"
