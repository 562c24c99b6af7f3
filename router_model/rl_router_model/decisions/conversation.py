"""Reads the messages of a request that does not contain the field `rl_router`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rl_router_policy.features import Context
from rl_router_policy.situation import Call

from .error import RequestError

_FAILED = "failed"
"""The field with which RL Router marks the result of a failed call."""


@dataclass(frozen=True)
class Conversation:
    """The last question of a conversation, the size of the conversation before it, and the calls to targets."""

    text: str
    context: Context
    calls: tuple[Call, ...]


def conversation_of(fields: Mapping[str, Any]) -> Conversation:
    """Returns the conversation in the field `messages` of a request's body. Raises RequestError."""
    messages = fields.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise RequestError("`messages` must be a list of objects. Send the messages of the conversation", "messages")
    calls = [*_calls_of_tools(messages), *_calls_in_texts(messages)]
    questions = [at for at, message in enumerate(messages) if message.get("role") == "user" and not _results(message)]
    last = questions[-1] if questions else -1
    others = [text_of(message) for message in messages[:last]] if questions else []
    results = sum(message.get("role") == "tool" for message in messages[: max(last, 0)])
    text = text_of(messages[last]) if questions else ""
    return Conversation(text, Context(len(others), sum(map(len, others)), 0, results), tuple(calls))


def text_of(message: Mapping[str, Any]) -> str:
    """Returns the text of a message, without images and other media."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = _objects(content)
    return " ".join([part["text"] for part in parts if isinstance(part.get("text"), str)])


def _calls_of_tools(messages: Sequence[Mapping[str, Any]]) -> Iterator[Call]:
    """Yields the tool calls whose result is in a message with the role `tool`."""
    answers = [message for message in messages if message.get("role") == "tool"]
    results = {id_: text_of(answer) for answer in answers if isinstance(id_ := answer.get("tool_call_id"), str)}
    for message in messages:
        for call in _objects(message.get("tool_calls")):
            function, id_ = call.get("function"), call.get("id")
            name = function.get("name") if isinstance(function, dict) else None
            if isinstance(id_, str) and isinstance(name, str) and id_ in results:
                failed = isinstance(result := _json(results[id_]), dict) and _FAILED in result
                yield Call(id_, name, "failed" if failed else "ok", results[id_])


def _calls_in_texts(messages: Sequence[Mapping[str, Any]]) -> Iterator[Call]:
    """Yields the calls whose results RL Router wrote in a user message, because the request had a JSON schema."""
    for message in messages:
        for result in _results(message):
            status = "failed" if _FAILED in result else "ok"
            yield Call(result["call_id"], result["model"], status, str(result.get("answer", "")))  # type: ignore[arg-type]


def _results(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the results of calls in a user message, or an empty list if the message contains no results."""
    content = message.get("content")
    if message.get("role") != "user" or not isinstance(content, str) or not content.startswith('[{"model"'):
        return []
    results = _objects(_json(content))
    fields = ("model", "call_id")
    return [result for result in results if all(isinstance(result.get(field), str) for field in fields)]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
