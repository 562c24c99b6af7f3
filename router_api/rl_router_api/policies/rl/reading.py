"""Parses the decision in an answer of the router model.

With the protocol `tools`, a decision consists of tool calls or is a direct answer. The tool calls may also be written
as text in the Hermes format or as JSON. With the protocol `json_schema`, a decision is a JSON object that follows the
decision schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ...conversation.additions import MAX_ADVICE, Advice
from ...conversation.answer import AnswerMessage, text_of
from ...routing.decide import PlannedCall
from .prompt import SELECT

_THOUGHT = re.compile(r"^.*</think>|<think>.*$", re.S | re.I)
# White space may match in only one way. Otherwise an answer that repeats newlines takes cubic time.
_HERMES = re.compile(r"<tool_call>(.*?)</tool_call>", re.S)
_FENCED = re.compile(r"\A```(?:json)?[ \t\r]*\n(.*?)```\Z", re.S)


class ReadDecision(Struct, frozen=True):
    """A parsed decision of the router model: calls, a selected answer, or a text without calls.

    All fields are empty if the router model's answer cannot be parsed.
    """

    calls: tuple[PlannedCall, ...] = ()
    select: str | None = None
    text: str | None = None

    @property
    def readable(self) -> bool:
        return bool(self.calls or self.select)


UNREADABLE = ReadDecision()


def read_tools(message: AnswerMessage, offered: Mapping[str, str], *, selectable: bool) -> ReadDecision:
    """Returns the decision in an answer that the router model gave with the protocol `tools`.

    The keys of `offered` are the function names of the candidates, and the values are the names of the candidates.
    """
    text = without_thoughts(text_of(AnswerMessage(content=message.content)))
    if message.tool_calls:
        calls = [(call.function.name, call.function.arguments) for call in message.tool_calls if call.function]
    else:
        calls = _calls_in(text)
    if not calls:
        looks_like_a_call = "tool_call>" in text
        return ReadDecision(text=text) if text and not looks_like_a_call else UNREADABLE
    return _planned(calls, offered, selectable=selectable)


def read_schema(message: AnswerMessage, offered: Mapping[str, str], *, selectable: bool) -> ReadDecision:
    """Returns the decision in an answer that the router model gave with the protocol `json_schema`.

    The keys of `offered` are the function names of the candidates, and the values are the names of the candidates. The
    decision schema contains the names of the candidates, so only the values of `offered` are used.
    """
    decision = _json(_unfenced(without_thoughts(text_of(AnswerMessage(content=message.content)))))
    if not isinstance(decision, dict):
        return UNREADABLE
    target, select = decision.get("ask"), decision.get("select")
    if selectable and isinstance(select, str):
        return ReadDecision(select=select)
    if isinstance(target, str) and target in offered.values():
        return ReadDecision(calls=(PlannedCall(target),))
    return UNREADABLE


def without_thoughts(text: str) -> str:
    """Returns the text after the last tag `</think>`, if any, and before an unclosed tag `<think>`, if any."""
    return _THOUGHT.sub("", text).strip()


def _calls_in(text: str) -> list[tuple[str | None, Any]]:
    """Returns the tool calls in a text, or an empty list if the text contains anything except tool calls."""
    blocks = _HERMES.findall(text)
    if blocks:
        if _HERMES.sub("", text).strip():
            return []
        values = [_json(block) for block in blocks]
    else:
        whole = _json(_unfenced(text))
        values = whole if isinstance(whole, list) else [whole]
    if not values or not all(_is_call(value) for value in values):
        return []
    return [(value["name"], value.get("arguments", value.get("parameters"))) for value in values]


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _planned(calls: list[tuple[str | None, Any]], offered: Mapping[str, str], *, selectable: bool) -> ReadDecision:
    planned = []
    for name, raw in calls:
        arguments = _arguments(raw)
        if arguments is None or name is None:
            continue
        if name == SELECT and selectable:
            call_id = arguments.get("call_id")
            if isinstance(call_id, str) and call_id.strip():
                return ReadDecision(select=call_id)
        elif name in offered:
            planned.append(PlannedCall(offered[name], _advice(arguments)))
    return ReadDecision(calls=tuple(planned))


def _arguments(raw: Any) -> dict[str, Any] | None:
    if raw is None or raw == "":
        return {}
    if isinstance(raw, str):
        raw = _json(raw)
    return raw if isinstance(raw, dict) else None


def _advice(arguments: Mapping[str, Any]) -> Advice:
    prompt, temperature = arguments.get("optimized_system_prompt"), arguments.get("temperature")
    usable = isinstance(temperature, (int, float)) and not isinstance(temperature, bool) and 0 <= temperature <= 2
    return Advice(
        system_prompt=prompt.strip()[:MAX_ADVICE] if isinstance(prompt, str) and prompt.strip() else None,
        temperature=float(temperature) if usable and temperature is not None else None,
    )


def _unfenced(text: str) -> str:
    match = _FENCED.match(text)
    return match[1] if match else text


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
