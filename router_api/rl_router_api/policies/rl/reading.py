"""Reads the router model's answer: tool calls, Hermes text, bare or fenced JSON, or a decision by schema."""

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
# No run of white space may match in two ways here: a router model that repeats newlines would cost cubic time.
_HERMES = re.compile(r"<tool_call>(.*?)</tool_call>", re.S)
_FENCED = re.compile(r"\A```(?:json)?[ \t\r]*\n(.*?)```\Z", re.S)


class Read(Struct, frozen=True):
    """What a decision says: calls, or a selection, or a text without any call. All empty: it cannot be read."""

    calls: tuple[PlannedCall, ...] = ()
    select: str | None = None
    text: str | None = None

    @property
    def readable(self) -> bool:
        return bool(self.calls or self.select)


UNREADABLE = Read()


def read_tools(said: AnswerMessage, offered: Mapping[str, str], *, selectable: bool) -> Read:
    """A decision by tool calls; `offered` maps the functions that may be called to their targets."""
    text = without_thoughts(text_of(AnswerMessage(content=said.content)))
    if said.tool_calls:
        calls = [(call.function.name, call.function.arguments) for call in said.tool_calls if call.function]
    else:
        calls = _calls_in(text)
    if not calls:
        looks_like_a_call = "tool_call>" in text
        return Read(text=text) if text and not looks_like_a_call else UNREADABLE
    return _understood(calls, offered, selectable=selectable)


def read_schema(said: AnswerMessage, offered: Mapping[str, str], *, selectable: bool) -> Read:
    """A decision under `prompt.decision_schema`."""
    decided = _json(_unfenced(without_thoughts(text_of(AnswerMessage(content=said.content)))))
    if not isinstance(decided, dict):
        return UNREADABLE
    asked, select = decided.get("ask"), decided.get("select")
    if selectable and isinstance(select, str):
        return Read(select=select)
    if isinstance(asked, str) and asked in offered.values():
        return Read(calls=(PlannedCall(asked),))
    return UNREADABLE


def without_thoughts(text: str) -> str:
    """The text after the last `</think>`, and before one that never ends."""
    return _THOUGHT.sub("", text).strip()


def _calls_in(text: str) -> list[tuple[str | None, Any]]:
    """Calls written as text, where nothing else stands beside them."""
    blocks = _HERMES.findall(text)
    if blocks:
        if _HERMES.sub("", text).strip():
            return []
        read = [_json(block) for block in blocks]
    else:
        whole = _json(_unfenced(text))
        read = whole if isinstance(whole, list) else [whole]
    if not read or not all(_is_call(each) for each in read):
        return []
    return [(each["name"], each.get("arguments", each.get("parameters"))) for each in read]


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _understood(calls: list[tuple[str | None, Any]], offered: Mapping[str, str], *, selectable: bool) -> Read:
    planned = []
    for name, given in calls:
        arguments = _arguments(given)
        if arguments is None or name is None:
            continue
        if name == SELECT and selectable:
            call_id = arguments.get("call_id")
            if isinstance(call_id, str) and call_id.strip():
                return Read(select=call_id)
        elif name in offered:
            planned.append(PlannedCall(offered[name], _advice(arguments)))
    return Read(calls=tuple(planned))


def _arguments(given: Any) -> dict[str, Any] | None:
    if given is None or given == "":
        return {}
    if isinstance(given, str):
        given = _json(given)
    return given if isinstance(given, dict) else None


def _advice(arguments: Mapping[str, Any]) -> Advice:
    prompt, temperature = arguments.get("optimized_system_prompt"), arguments.get("temperature")
    usable = isinstance(temperature, (int, float)) and not isinstance(temperature, bool) and 0 <= temperature <= 2
    return Advice(
        system_prompt=prompt.strip()[:MAX_ADVICE] if isinstance(prompt, str) and prompt.strip() else None,
        temperature=float(temperature) if usable and temperature is not None else None,
    )


def _unfenced(text: str) -> str:
    found = _FENCED.match(text)
    return found[1] if found else text


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
