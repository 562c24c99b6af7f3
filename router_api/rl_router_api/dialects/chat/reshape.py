"""Converts a complete answer to the chunks of a stream, and the chunks of a stream to a complete answer.

Some servers ignore the request's field `stream`. A server that ignores the field `stream` sends a complete answer for a
streamed call, or a stream for a call that needs a complete answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import reduce
from typing import Any

from msgspec import Raw

from ...conversation import lenient
from ...conversation.answer import Answer, CallAssembler, Chunk
from ...conversation.raw import begins, encoded
from ...encoding import encode
from . import read_odd_answer as odd
from .join_usage import join_usage
from .read_answer import read_answer, read_chunks

_REPLACED = ("id", "index", "type", "role", "finish_reason")
"""The names of the fields of chunks for which only the last value is kept. For a field whose name is not in
`_REPLACED`, the texts from several chunks are joined."""


def chunks_of(answer: Answer) -> list[Chunk]:
    """Returns the chunks of a complete answer.

    The first chunk contains all choices of the answer. A second chunk contains the usage if the upstream reported the
    usage.
    """
    fields: dict[str, Any] = {name: raw for name, raw in answer.fields.items() if name not in ("choices", "usage")}
    fields["object"] = "chat.completion.chunk"
    events = [encode({**fields, "choices": list(map(_as_delta, _objects(answer.fields["choices"])))})]
    if answer.usage:
        events.append(encode({**fields, "choices": [], "usage": answer.usage}))
    return list(read_chunks(events))


def _as_delta(choice: dict[str, Raw]) -> dict[str, Raw]:
    """Returns a choice of a complete answer as a choice of a chunk.

    The message of the choice becomes a delta, and each tool call gets an index.
    """
    message = choice.pop("message", encoded({}))
    if begins(message) == b"{":
        fields = lenient.fields_of(message)
        if begins(fields.get("tool_calls", Raw())) == b"[":
            calls = enumerate(_objects(fields["tool_calls"]))
            fields["tool_calls"] = encoded([{"index": encoded(place), **call} for place, call in calls])
        message = encoded(fields)
    return {**choice, "delta": message}


def _objects(raw: Raw) -> list[dict[str, Raw]]:
    return [lenient.fields_of(entry) for entry in lenient.list_of(raw) if begins(entry) == b"{"]


def whole_of(chunks: Sequence[Chunk]) -> Answer:
    """Returns the complete answer that the chunks of a stream form.

    Raises BrokenAnswerError if the chunks do not form an answer.
    """
    fields: dict[str, Any] = {}
    choices: dict[int, _Choice] = {}
    for chunk in chunks:
        value = lenient.parse(chunk.data)
        fields |= {name: entry for name, entry in value.items() if entry is not None}
        for place, choice in enumerate(odd.objects(value.get("choices"))):
            index = chunk.choices[place].index
            choices.setdefault(index, _Choice(index)).add(choice)
    fields.pop("usage", None)
    fields["object"] = "chat.completion"
    fields["choices"] = [choices[index].whole() for index in sorted(choices)]
    body = json.dumps(fields).encode()
    usage = bytes(reduce(join_usage, [chunk.usage for chunk in chunks], Raw()))
    return read_answer(body[:-1] + b',"usage":' + usage + b"}" if usage else body)


class _Choice:
    """Assembles one choice of a complete answer from the parts of the choice in the chunks of a stream."""

    def __init__(self, index: int) -> None:
        self._fields: dict[str, Any] = {"index": index, "finish_reason": None}
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._assembler = CallAssembler()
        self._calls: list[dict[str, Any]] = []

    def add(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        _join(self._fields, {name: value for name, value in choice.items() if name not in ("delta", "index", "usage")})
        if isinstance(delta, dict):
            _join(self._message, {name: value for name, value in delta.items() if name != "tool_calls"})
            for piece in odd.objects(delta.get("tool_calls")):
                self._add_call(piece)

    def _add_call(self, piece: dict[str, Any]) -> None:
        position = self._assembler.add(odd.tool_call(piece))
        if position == len(self._calls):
            self._calls.append({})
        _join(self._calls[position], {name: value for name, value in piece.items() if name != "index"})

    def whole(self) -> dict[str, Any]:
        calls = {"tool_calls": self._calls} if self._calls else {}
        return {**self._fields, "message": {**self._message, **calls}}


def _join(begun: dict[str, Any], piece: dict[str, Any]) -> None:
    """Adds the fields of `piece` to the object `begun`.

    If both objects contain a text or a list with the same name, the two texts or lists are joined, but a text whose
    name is in `_REPLACED` is replaced. Nested objects are joined field by field.
    """
    for name, value in piece.items():
        old = begun.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            _join(old, value)
        elif isinstance(old, str) and isinstance(value, str) and name not in _REPLACED:
            begun[name] = old if name == "name" and old == value else old + value
        elif isinstance(old, list) and isinstance(value, list):
            begun[name] = old + value
        elif value is not None:
            begun[name] = value
