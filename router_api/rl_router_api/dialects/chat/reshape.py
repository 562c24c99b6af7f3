"""Converts a complete answer to the chunks of a stream, and the chunks of a stream to a complete answer.

Some servers ignore the request's field `stream`. A server that ignores the field `stream` sends a complete answer for a
streamed call, or a stream for a call that needs a complete answer.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from functools import reduce
from typing import Any

from msgspec import Raw

from ...conversation import lenient
from ...conversation.answer import Answer, CallAssembler, Chunk
from ...conversation.raw import begins, encoded, is_given
from ...encoding import encode
from . import read_odd_answer as odd
from .join_usage import join_usage
from .read_answer import read_answer, read_chunks

_REPLACED = re.compile(r"id|index|type|role|status|\w+_(?:id|type|reason)")
"""The pattern of the fields within a choice for which only the last text that is not empty is kept. The texts of any
other field within a choice are joined, but a repeated `name` is kept once."""
_CHOICES_OWN = ("delta", "message", "index", "usage")
"""The names of the fields of a choice that the class `_Choice` ignores or puts into the message."""
_NO_DELTA = encoded({})
_EMPTY: tuple[object, ...] = (None, "", [], {})


def chunks_of(answer: Answer) -> list[Chunk]:
    """Returns a complete answer as the chunks of a stream.

    The first chunk contains all choices of the answer. A second chunk contains the usage if the upstream reported the
    usage.
    """
    fields: dict[str, Any] = {name: raw for name, raw in answer.fields.items() if name not in ("choices", "usage")}
    fields["object"] = "chat.completion.chunk"
    choices = _objects(answer.fields["choices"])
    events = [encode({**fields, "choices": list(map(_as_delta, itertools.count(), choices))})]
    if answer.usage:
        events.append(encode({**fields, "choices": [], "usage": answer.usage}))
    return list(read_chunks(events))


def _as_delta(place: int, choice: dict[str, Raw]) -> dict[str, Raw]:
    """Returns a choice of a complete answer as a choice of a chunk.

    The message of the choice becomes a delta. A choice without an index gets its position in the answer as the index.
    Each tool call gets its position in the message as the index. Some servers give every tool call of an answer the
    index 0, but clients join the pieces of tool calls with the same index.
    """
    message = choice.pop("message", _NO_DELTA)
    if begins(message) == b"{":
        fields = lenient.fields_of(message)
        if begins(fields.get("tool_calls", Raw())) == b"[":
            calls = enumerate(_objects(fields["tool_calls"]))
            fields["tool_calls"] = encoded([{**call, "index": encoded(position)} for position, call in calls])
        message = encoded(fields)
    if not is_given(choice.get("index", Raw())):
        choice["index"] = encoded(place)
    return {**choice, "delta": message if is_given(message) else _NO_DELTA}


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
        fields |= {name: entry for name, entry in value.items() if _counts(entry, fields.get(name))}
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
    """Assembles one choice of a complete answer from the parts of the choice in the chunks of a stream.

    Some servers send the whole message in the field `message` of the choice, either instead of deltas or after the
    deltas. A field of the message counts only if the field is empty in all deltas.
    """

    def __init__(self, index: int) -> None:
        self._fields: dict[str, Any] = {"index": index, "finish_reason": None}
        self._deltas, self._messages = _Message(), _Message()

    def add(self, choice: dict[str, Any]) -> None:
        _join(self._fields, {name: value for name, value in choice.items() if name not in _CHOICES_OWN})
        self._deltas.add(choice.get("delta"))
        self._messages.add(choice.get("message"))

    def whole(self) -> dict[str, Any]:
        message = self._messages.whole()
        message |= {name: value for name, value in self._deltas.whole().items() if value or not message.get(name)}
        return {**self._fields, "message": message}


class _Message:
    """Assembles a message from its pieces in the chunks of a stream."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {"role": "assistant", "content": None}
        self._assembler = CallAssembler()
        self._calls: list[dict[str, Any]] = []

    def add(self, delta: Any) -> None:
        if isinstance(delta, dict):
            _join(self._fields, {name: value for name, value in delta.items() if name != "tool_calls"})
            for piece in odd.objects(delta.get("tool_calls")):
                self._add_call(piece)

    def _add_call(self, piece: dict[str, Any]) -> None:
        position = self._assembler.add(odd.tool_call(piece))
        if position is None:
            return
        if position == len(self._calls):
            self._calls.append({})
        _join(self._calls[position], {name: value for name, value in piece.items() if name != "index"})

    def whole(self) -> dict[str, Any]:
        return {**self._fields, "tool_calls": self._calls} if self._calls else self._fields


def _join(begun: dict[str, Any], piece: dict[str, Any]) -> None:
    """Adds the fields of `piece` to the object `begun`.

    Two texts of the same field are joined, unless the field matches `_REPLACED` or a `name` is repeated. Two lists of
    the same field are also joined. A text and a list become one list of content parts. Nested objects are joined field
    by field. An empty value never replaces a value that is not empty.
    """
    for name, value in piece.items():
        old = begun.get(name)
        if not _counts(value, old):
            continue
        if old in _EMPTY:
            begun[name] = value
        elif isinstance(old, dict) and isinstance(value, dict):
            _join(old, value)
        elif isinstance(old, str) and isinstance(value, str) and not _REPLACED.fullmatch(name):
            begun[name] = old if name == "name" and old == value else old + value
        elif name == "content" or isinstance(old, list) or isinstance(value, list):
            begun[name] = _with_parts(old if isinstance(old, list) else [_part(old)], value)
        else:
            begun[name] = value


def _counts(value: Any, old: Any) -> bool:
    """Returns whether a value may replace or extend the earlier value `old` of the same field."""
    return value is not None and (value not in _EMPTY or old in _EMPTY)


def _with_parts(parts: list[Any], piece: Any) -> list[Any]:
    """Returns a list of content parts with one more piece of the content at the end."""
    if isinstance(piece, list):
        return parts + piece
    last = parts[-1]
    if isinstance(piece, str) and _is_text(last):
        last["text"] += piece
        return parts
    return [*parts, _part(piece)]


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _part(content: Any) -> Any:
    return {"type": "text", "text": content} if isinstance(content, str) else content
