"""What reaches a target: the client's own bytes, and the few changes that are ours to make."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...config import Params, Target
from ...conversation.raw import encoded
from .affinity import unmark
from .free_fields import leave_out_costs
from .read_request import OUTPUT_LIMITS, ChatRequest

ADVICE_LIMIT = 2_000
_ADVICE = "Advice for this answer; whatever stands above takes precedence over it:\n"
_AROUND = len('{"role":"system","content":""},')
_RAW_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_RAW_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
_RAW_LIST = msgspec.json.Decoder(list[Raw])


class Advice(Struct, frozen=True):
    """What the router model wants a call to be made with."""

    system_prompt: str | None = None
    temperature: float | None = None

    @property
    def size(self) -> int:
        """The bytes that it adds to a request."""
        return len((_ADVICE + self.system_prompt[:ADVICE_LIMIT]).encode()) + _AROUND if self.system_prompt else 0

    def as_arguments(self) -> dict[str, Any]:
        """The arguments as the router model gave them."""
        given: dict[str, Any] = {}
        if self.system_prompt is not None:
            given["optimized_system_prompt"] = self.system_prompt
        if self.temperature is not None:
            given["temperature"] = self.temperature
        return given


class Payload(Struct, frozen=True):
    """A target's request body, and the client's fields that were left out of it."""

    body: bytes
    dropped: tuple[str, ...]


NO_ADVICE = Advice()


class Guard(Struct, frozen=True):
    """What a money limit asks of a call: that nothing is sent that may cost more, and the output limit, if any."""

    output_limit: int | None = None


def payload_for(request: ChatRequest, target: Target, advice: Advice, guard: Guard | None = None) -> Payload:
    """The body for `target`, under a money limit if `guard` is given."""
    fields: dict[str, Any] = {"model": target.upstream_model, **request.fields}
    costly = leave_out_costs(fields, target.params.allow) if guard else ()
    fields["messages"] = _messages(request, fields["messages"], advice)
    if advice.temperature is not None and "temperature" not in request.fields:
        fields["temperature"] = advice.temperature
    if guard and guard.output_limit is not None:
        _limit_output(fields, guard.output_limit)
    if request.stream:
        fields["stream_options"] = _with_usage(request.fields.get("stream_options"))
    params = target.params
    dropped = _apply_params(fields, params) if params.rename or params.drop or params.set else []
    if guard and guard.output_limit is not None:
        # `params.set` may have put other limits there.
        fields.update({name: _lower(fields[name], guard.output_limit) for name in OUTPUT_LIMITS if name in fields})
    return Payload(msgspec.json.encode(fields), (*costly, *[name for name in dropped if name in request.fields]))


def bounds_output(request: ChatRequest, params: Params) -> bool:
    """Whether an output limit of ours, and the number of choices, stay in a request to which `params` are applied."""
    if "n" in params.set or "n" in params.rename.values():
        return False
    ours: Any = object()
    fields = dict[str, Any].fromkeys(request.fields)
    _limit_output(fields, ours)
    _apply_params(fields, params)
    return ours in fields.values() or any(name in fields for name in OUTPUT_LIMITS)


def _limit_output(fields: dict[str, Any], limit: int) -> None:
    """Sets every spelling of the output limit that is present, whichever of them the target reads, and one of OpenAI's
    in any case."""
    if "max_completion_tokens" not in fields:
        fields["max_tokens"] = limit
    fields.update({name: limit for name in OUTPUT_LIMITS if name in fields})


def _lower(value: Any, limit: int) -> int:
    return min(value, limit) if isinstance(value, int) and value > 0 else limit


def _with_usage(raw: Raw | None) -> dict[str, Any]:
    options = {} if raw is None or _is_null(raw) else _RAW_OBJECT.decode(raw)
    return {**options, "include_usage": True}


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, Raw) and bytes(value).strip() == b"null")


def _apply_params(fields: dict[str, Any], params: Params) -> list[str]:
    dropped = []
    for old, new in params.rename.items():
        if old in fields:
            value = fields.pop(old)
            if _is_null(fields.get(new)):
                fields[new] = value
            else:
                dropped.append(old)
    dropped += [name for name in params.drop if fields.pop(name, None) is not None]
    fields.update(params.set)
    return dropped


def _messages(request: ChatRequest, raw: Raw, advice: Advice) -> Any:
    advised = bool(advice.system_prompt)
    marked = request.may_hold_marks
    if not advised and not marked:
        return raw
    messages = _RAW_OBJECTS.decode(raw)
    if marked:
        for message in messages:
            unmark(message)
    if advised:
        _advise(request, messages, _ADVICE + (advice.system_prompt or "")[:ADVICE_LIMIT])
    return messages


def _advise(request: ChatRequest, messages: list[dict[str, Raw]], text: str) -> None:
    for read, message in zip(request.messages, messages, strict=True):
        if read.role in ("system", "developer"):
            message["content"] = _appended(read.content, message.get("content"), text)
            return
    messages.insert(0, {"role": encoded("system"), "content": encoded(text)})


def _appended(content: object, raw: Raw | None, text: str) -> Raw:
    if isinstance(content, list):
        return encoded([*_RAW_LIST.decode(raw or b"[]"), {"type": "text", "text": text}])
    return encoded(f"{content}\n\n{text}" if content else text)
