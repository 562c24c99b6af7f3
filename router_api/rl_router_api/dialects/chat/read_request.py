"""Reads a client's request: converts the body of a chat completion request to the internal request.

The fields of a request keep the bytes that the client sent (`msgspec.Raw`). If the router does not change a value, such
as a number, the target gets the value exactly as the client wrote the value. The router decodes only the values that
routing needs.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw, Struct

from ...config import Capability
from ...conversation.raw import OBJECT, check_utf8, is_given
from ...conversation.request import Message, Options, Request
from ...errors import ApiError, bad_request
from ..json_size import MAX_VALUES, has_more_values
from .fields import OUTPUT_LIMITS
from .half_pairs import half_pair_error
from .media import media_in

MAX_MESSAGES = 10_000
MAX_PIECES = 10_000
_MAX_FIELDS = 1_000
MAX_CHOICES = 128
"""The maximum number of choices that a client may request with the field `n`. OpenAI's API has the same maximum."""
PICTURE_TOKENS = 1_500
_MAX_DOLLARS = 10**12
_MAX_OPTIONS = 16 * 1024
_FRAMES = 50
"""The number of stack frames that decoding a field may need later. The router rejects a body if decoding the nested
values of the body leaves fewer than 50 free stack frames."""
_TOOL_ROLES = ("tool", "function")
_READ_BY_TARGETS = ("messages", "tools", "functions", "response_format")
_OTHER_LIMITS = OUTPUT_LIMITS[2:]


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _ResponseFormat(Struct):
    type: str


class _Body(Struct):
    """Fields that the router reads from a request body for routing."""

    model: str | None = None
    router: Raw = Raw()
    messages: list[Message] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None
    tools: Raw = Raw()
    functions: Raw = Raw()
    response_format: _ResponseFormat | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    temperature: float | None = None


def read_request(body: bytes) -> Request:
    """Returns the internal request for the body of a client's request.

    Raises ApiError with status 400 if the body is invalid. If a field of the body is invalid, the error names the
    field.
    """
    # Some Windows tools write a byte order mark before the JSON.
    body = body.removeprefix(b"\xef\xbb\xbf")
    fields = _object(body)
    read = _read(body)
    if not read.model:
        raise bad_request("`model` is missing or empty. Send a model name such as `router-tool-rl`.", "model")
    options = _options(read.router)
    messages = _messages(read)
    rich = _rich(messages)
    fields.pop("model", None)
    fields.pop("router", None)
    n = _choices(read)
    parts = [part for message in rich if isinstance(message.content, list) for part in message.content]
    media = media_in(fields["messages"], rich, parts)
    needs = media.kinds | _needs(read, n, rich)
    text_bytes = sum([len(fields[name]) for name in _READ_BY_TARGETS if name in fields]) - media.size
    return Request(
        fields=fields,
        model=read.model,
        messages=messages,
        stream=bool(read.stream),
        include_usage=bool(read.stream_options and read.stream_options.include_usage),
        max_output=_output_limit(read, fields),
        n=n,
        needs=needs,
        options=options,
        parts=parts,
        text_bytes=text_bytes,
        may_hold_affinity="tools" in needs and body.find(b"_rr") >= 0,
        input_tokens=text_bytes // 4 + PICTURE_TOKENS * media.count + 1,
    )


def _messages(read: _Body) -> list[Message]:
    messages = read.messages
    if not messages:
        raise bad_request("`messages` is missing or empty. Send at least one message.", "messages")
    if len(messages) > MAX_MESSAGES:
        raise bad_request(
            f"`messages` has {len(messages)} entries, but the maximum is {MAX_MESSAGES}. Send fewer messages.",
            "messages",
        )
    return messages


def _rich(messages: list[Message]) -> list[Message]:
    """Returns the messages with content parts, images, audio, or with calls or results of tools or functions.

    Raises ApiError if these messages have more than `MAX_PIECES` content parts and tool calls.
    """
    rich = [
        each for each in messages
        if type(each.content) is list or each.tool_calls or each.role in _TOOL_ROLES or each.function_call
        or each.images or each.audio
    ]  # fmt: skip
    if rich and sum([message.pieces for message in rich]) > MAX_PIECES:
        raise bad_request(
            f"`messages` has more than {MAX_PIECES} content parts and tool calls. Shorten the conversation.", "messages"
        )
    return rich


def _object(body: bytes) -> dict[str, Raw]:
    try:
        check_utf8(body)
    except UnicodeDecodeError as error:
        raise bad_request(f"The body is not UTF-8 at byte {error.start}. Send JSON in UTF-8.") from None
    brackets = body.count(b"[") + body.count(b"{")
    if has_more_values(body, brackets):
        raise bad_request(f"The body is not JSON, or has more than {MAX_VALUES:,} values. Send JSON with fewer values.")
    try:
        # Deep nesting needs many brackets. A body with few brackets always leaves enough stack frames.
        fields = OBJECT.decode(body) if brackets < _FRAMES else _decode_deeper(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise half_pair_error(body) or bad_request(
            f"The body is not a JSON object, or is nested too deeply: {error}. Send a JSON object without deep nesting."
        ) from None
    if len(fields) > _MAX_FIELDS:
        raise bad_request(f"The body has {len(fields)} fields, but the maximum is {_MAX_FIELDS}. Send fewer fields.")
    return fields


def _decode_deeper(body: bytes, frames: int = _FRAMES) -> dict[str, Raw]:
    return OBJECT.decode(body) if not frames else _decode_deeper(body, frames - 1)


_READ = msgspec.json.Decoder(_Body)
_READ_OPTIONS = msgspec.json.Decoder(Options | None)
_NO_OPTIONS = Options()
_GOALS = "Use `cost`, `balanced`, `quality`, or the worth of a good answer in US dollars, such as 0.01"


def _read(body: bytes) -> _Body:
    try:
        return _READ.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _field_error(str(error)) from None


def _options(raw: Raw) -> Options:
    """Returns the options in the field `router` of a request body, or no options if the field is not set or null.

    The size of the field `router` is limited, because decoding a number with millions of digits takes a second.
    """
    if not raw:
        return _NO_OPTIONS
    if len(raw) > _MAX_OPTIONS:
        message = f"`router` has {len(raw):,} bytes, but the maximum is {_MAX_OPTIONS:,}. Send shorter options."
        raise bad_request(message, "router")
    try:
        options = _READ_OPTIONS.decode(raw) or _NO_OPTIONS
    except (msgspec.DecodeError, RecursionError) as error:
        raise _field_error(str(error), "router") from None
    _check_options(options)
    return options


def _field_error(text: str, within: str = "") -> ApiError:
    """Converts an error text of the library msgspec to an ApiError with status 400 that names the invalid field.

    An example of an error text is "Expected `str`, got `int` - at `$.messages[0].role`". The parameter `within` is the
    name of the decoded field, or an empty text if the whole body was decoded.
    """
    message, _, path = text.partition(" - at `$")
    param = f"{within}{path.rstrip('`')}".removeprefix(".")
    match = re.search(r"(missing required|contains unknown) field `([^`]*)`", message)
    if match:
        param += f".{match[2]}"
        if match[1] == "contains unknown":
            message = f"unknown option. Use one of the options {', '.join(Options.__struct_fields__)}"
    elif param == "router.prefer":
        message = f"{message[:200]}. {_GOALS}"
    return bad_request(f"`{param}`: {message[:300]}.", param)


def _choices(read: _Body) -> int:
    if read.n is not None and not 1 <= read.n <= MAX_CHOICES:
        raise bad_request(f"`n` is {read.n}. Send a number of choices from 1 to {MAX_CHOICES}.", "n")
    return read.n or 1


def _output_limit(read: _Body, fields: dict[str, Raw]) -> int | None:
    limit = read.max_tokens if read.max_completion_tokens is None else read.max_completion_tokens
    if limit is None:
        others = [_whole_number(fields[name]) for name in _OTHER_LIMITS if name in fields]
        limit = min((other for other in others if other and other > 0), default=None)
    return limit if limit is not None and limit > 0 else None


def _whole_number(raw: Raw) -> int | None:
    """Returns the whole number that raw JSON contains, or None for any other value.

    The router does not reject a value that is not a whole number, because the target checks the value.
    """
    try:
        return msgspec.json.decode(raw, type=int)
    except msgspec.DecodeError:
        return None


def _check_options(options: Options) -> None:
    cost = options.max_cost
    if cost is not None and not (cost.is_finite() and 0 <= cost <= _MAX_DOLLARS):
        raise bad_request(
            f"`router.max_cost` is {str(cost)[:40]}. Send a number of US dollars from 0 to {_MAX_DOLLARS:,}.",
            "router.max_cost",
        )


def _is_filled(list_: Raw, name: str) -> bool:
    """Returns whether a list has entries, or False if it is missing or null. Raises ApiError for any other value."""
    if not list_:
        return False
    raw = bytes(list_)
    if raw == b"null":
        return False
    if not raw.startswith(b"["):
        raise bad_request(f"`{name}` is neither a list nor null. Send a list.", name)
    return raw[1:].lstrip() != b"]"


def _needs(read: _Body, n: int, rich: list[Message]) -> frozenset[Capability]:
    needs: set[Capability] = set()
    if _is_filled(read.tools, "tools") or _is_filled(read.functions, "functions"):
        needs.add("tools")
    if read.response_format and read.response_format.type == "json_schema":
        needs.add("json_schema")
    if n > 1:
        needs.add("n")
    if read.logprobs:
        needs.add("logprobs")
    if "audio" in (read.modalities or ()):
        needs.add("audio")
    # `function_call` and the role `function` are the old forms of `tool_calls` and the role `tool`.
    if any(each.tool_calls or each.role in _TOOL_ROLES or is_given(each.function_call) for each in rich):
        needs.add("tools")
    return frozenset(needs)
