"""Adapts the answers of other models in a conversation to what a target accepts.

Some providers reject the tool call ids, the thinking and the signatures of other providers. Some providers require
fields that only their own answers have. The configuration field `targets.history` describes which answers of
other models a target accepts. The affinity in a tool call id identifies the target that made the tool call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from msgspec import Raw

from ...config import History, Target, ToolCallIds
from ...conversation.additions import FOREIGN_HISTORY
from ...conversation.affinity import affinity_in, without_affinity
from ...conversation.lenient import fields_of, list_of
from ...conversation.raw import begins, encoded, is_given, text_in
from ...conversation.request import Message, Request
from ..tool_call_ids import ToolCallIdMap, max_mapped_length
from .affinity import change_ids

_PLAIN_IDS = ToolCallIds(length=9, characters="letters_digits")
"""The form of tool call ids that every known provider accepts. Of all known providers, Mistral has the strictest rule
for tool call ids."""
_FOREIGN = (
    "reasoning_content", "reasoning", "reasoning_details", "reasoning_text", "reasoning_opaque", "thinking_blocks",
    "thinking", "redacted_thinking", "codex_reasoning_items", "extra_content", "provider_specific_fields",
    "thought_signature", "signature", "annotations", "citations", "audio", "images", "refusal", "executed_tools",
    "tool_plan", "logprobs",
)  # fmt: skip
"""The names of the fields and the types of the content parts in which providers put thinking, signatures and other
parts of their answers that many providers reject in requests."""
_FUNCTION = ("name", "arguments")
"""The fields of a tool call's function that are never removed."""
_NO_HISTORY = History()


def history_for(target: Target, without: Collection[str]) -> History | None:
    """Returns the description of the answers of other models that a target accepts.

    Returns None if `targets.history` is not configured and `without` does not contain `FOREIGN_HISTORY`. If `without`
    contains `FOREIGN_HISTORY`, the description also forbids the fields and parts in `_FOREIGN`. If the configuration
    has no rule for tool call ids, the description then requires tool call ids that every known provider accepts.
    """
    if FOREIGN_HISTORY not in without:
        return target.history
    configured = target.history or _NO_HISTORY
    ids = _PLAIN_IDS if configured.tool_call_ids == _NO_HISTORY.tool_call_ids else configured.tool_call_ids
    drop = tuple(dict.fromkeys((*configured.drop, *_FOREIGN)))
    return configured.model_copy(update={"tool_call_ids": ids, "drop": drop})


def is_affected(request: Request, raw: Raw, history: History) -> bool:
    """Returns whether the function `adapt` may change the messages. The parameter `raw` is the JSON of the messages."""
    if any(message.tool_calls or message.tool_call_id is not None for message in request.messages):
        return True
    if not history.drop or all(message.role != "assistant" for message in request.messages):
        return False
    body = bytes(raw)
    return any(name.encode() in body for name in history.drop)


def adapt(request: Request, messages: list[dict[str, Raw]], history: History, family: Collection[str]) -> list[str]:
    """Adapts a request's messages to a target, in place, and returns the names of the removed fields and parts.

    The function `adapt` also removes the affinity from the tool call ids. The parameter `family` contains the
    affinities of all targets in the signing family of the called target.
    """
    ids = _Ids(history.tool_call_ids, family)
    dropped: dict[str, None] = {}
    for read, message in zip(request.messages, messages, strict=True):
        if read.role == "assistant":
            dropped |= dict.fromkeys(_drop(message, history.drop, is_own=_maker(read) in family))
            if read.tool_calls:
                _add(message, history)
                ids.begin_calls()
        change_ids(message, ids.of_call if read.tool_calls else ids.of_result)
    return [f"messages.{name}" for name in dropped]


def max_added_bytes(request: Request, target: Target) -> int:
    """Returns an upper bound on the number of bytes by which the function `adapt` makes the messages longer."""
    history = target.history or _NO_HISTORY
    with_calls = [message for message in request.messages if message.tool_calls]
    ids = sum([len(message.tool_calls or ()) for message in with_calls])
    ids += sum([message.tool_call_id is not None for message in request.messages])
    longest = max(max_mapped_length(history.tool_call_ids), max_mapped_length(_PLAIN_IDS))
    added = len(encoded([history.add_to_messages, history.add_to_tool_calls]))
    return ids * longest + len(with_calls) * added


class _Ids:
    """The tool call ids of a conversation in the form that the target accepts.

    If several tool calls of a message have the same id, the class assumes that their results have the same order.
    """

    def __init__(self, rule: ToolCallIds, family: Collection[str]) -> None:
        self._ids = ToolCallIdMap(rule)
        self._family = family
        self.begin_calls()

    def begin_calls(self) -> None:
        """Starts to count the tool calls and the results of another message."""
        self._calls: Counter[str] = Counter()
        self._results: Counter[str] = Counter()

    def of_call(self, tool_call_id: str) -> str:
        """Returns the id for the next tool call of the message."""
        self._calls[tool_call_id] += 1
        return self._mapped(tool_call_id, self._calls[tool_call_id] - 1)

    def of_result(self, tool_call_id: str) -> str:
        """Returns the id for the next result of the message's tool calls."""
        self._results[tool_call_id] += 1
        last = max(self._calls[tool_call_id] - 1, 0)
        return self._mapped(tool_call_id, min(self._results[tool_call_id] - 1, last))

    def _mapped(self, tool_call_id: str, place: int) -> str:
        is_own = affinity_in(tool_call_id) in self._family
        return self._ids.mapped(tool_call_id, without_affinity(tool_call_id), is_own=is_own, place=place)


def _maker(message: Message) -> str | None:
    """Returns the affinity of the target that made the message's tool calls, or None if this target is unknown."""
    calls = message.tool_calls or [{}]
    return affinity_in(text_in(calls[0].get("id", Raw())))


def _drop(message: dict[str, Raw], names: Collection[str], *, is_own: bool) -> list[str]:
    """Removes the named fields and content parts from a message and its tool calls, and returns the removed names.

    If the target or a target of its signing family made the tool calls, only named fields that are null are removed.
    """
    if not names:
        return []
    dropped = _drop_fields(message, names, is_own=is_own)
    if begins(message.get("tool_calls", Raw())) == b"[":
        calls = [fields_of(call) for call in list_of(message["tool_calls"])]
        dropped += [name for call in calls for name in _drop_from_call(call, names, is_own=is_own)]
        message["tool_calls"] = encoded(calls)
    if not is_own and begins(message.get("content", Raw())) == b"[":
        dropped += _drop_parts(message, names)
    return dropped


def _drop_from_call(call: dict[str, Raw], names: Collection[str], *, is_own: bool) -> list[str]:
    """Removes the named fields (only null ones if `is_own`) from a call and its function, and returns their names."""
    dropped = _drop_fields(call, names, is_own=is_own)
    if begins(call.get("function", Raw())) == b"{":
        function = fields_of(call["function"])
        if removed := _drop_fields(function, [name for name in names if name not in _FUNCTION], is_own=is_own):
            call["function"] = encoded(function)
            dropped += removed
    return dropped


def _drop_fields(fields: dict[str, Raw], names: Collection[str], *, is_own: bool) -> list[str]:
    dropped = [name for name in names if name in fields and not (is_own and is_given(fields[name]))]
    for name in dropped:
        del fields[name]
    return dropped


def _drop_parts(message: dict[str, Raw], names: Collection[str]) -> list[str]:
    parts = list_of(message["content"])
    types = [text_in(fields_of(part).get("type", Raw())) if begins(part) == b"{" else "" for part in parts]
    kept = [part for part, kind in zip(parts, types, strict=True) if kind not in names]
    if len(kept) < len(parts):
        # Providers reject an empty list as content, but accept null beside tool calls, and accept an empty text.
        empty = None if is_given(message.get("tool_calls", Raw())) else ""
        message["content"] = encoded(kept or empty)
    return [kind for kind in types if kind in names]


def _add(message: dict[str, Raw], history: History) -> None:
    """Adds missing required fields to a message with tool calls, and to the first tool call if no call has them."""
    for name, value in history.add_to_messages.items():
        if not is_given(message.get(name, Raw())):
            message[name] = encoded(value)
    if history.add_to_tool_calls:
        calls = [fields_of(call) for call in list_of(message["tool_calls"])]
        for name, value in history.add_to_tool_calls.items():
            if not any(name in call for call in calls):
                calls[0][name] = encoded(value)
        message["tool_calls"] = encoded(calls)
