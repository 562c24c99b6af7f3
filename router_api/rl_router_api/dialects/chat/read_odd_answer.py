"""Reads each field of a completion or chunk separately if the completion or chunk breaks OpenAI's schema.

The module `read_answer` uses the module `read_odd_answer` for answers that the typed decoder rejects, and to recognize
errors and thinking in unusual fields. A field with an unusable type is treated as missing, but the client still gets
the field unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from msgspec import Raw

from ...conversation import lenient
from ...conversation.answer import (
    AnswerMessage,
    Choice,
    ChunkChoice,
    CustomTool,
    Function,
    ToolCall,
    generated_text,
    has_content,
)
from ...conversation.request import MEDIA
from ...errors import BrokenAnswerError
from .join_usage import join_usage

_NOTHING = Raw()
NO_REASON = ("", "null", "None")
"""The texts in the field `finish_reason` that mean that the choice has not ended."""
FAILED = ("error", "abort", "network_error", "insufficient_system_resource")
"""The finish reasons that say that the upstream failed. OpenRouter and vLLM send `error`, SGLang sends `abort`, Z.AI
sends `network_error`, and DeepSeek sends `insufficient_system_resource`."""
_THINKING = ("reasoning_details", "thinking", "thinking_blocks", "reasoning_text", "reasoning")
"""The names of the fields in which MiniMax, OpenRouter, LiteLLM, Copilot and other servers send thinking."""
_MEDIA = ("images", "image", "videos", "video")
"""The names of the fields in which servers send images and videos beside the content."""
_WITH_MESSAGE = ("stop", "tool_calls", "function_call", "error")
"""The finish reasons that do not explain why a choice has no message."""
_NESTED_ERROR = re.compile(r"errors|\w+Exception")
"""The pattern of the fields in which Cloudflare and Bedrock describe an error."""
_PART_OF_ERROR = re.compile(r"err(?:or)?_?(code|type|message|msg)", re.I)
"""The pattern of the fields in which Baidu and other servers describe an error without a JSON object of its own."""


def parse(data: bytes) -> Any:
    """Returns the value of a JSON text. Raises BrokenAnswerError if the data are not JSON or are nested too deeply."""
    try:
        return lenient.parse(data)
    except (ValueError, RecursionError) as error:
        raise BrokenAnswerError(f"the answer is not JSON: {error}") from None


def repaired(data: bytes) -> bytes:
    """Returns the data as valid UTF-8, with U+FFFD in place of invalid bytes.

    Some servers send each token of a text as soon as the token is generated, although a token may contain only a part
    of a character.
    """
    return data.decode(errors="replace").encode()


def is_error(value: Any) -> bool:
    """Returns whether a JSON value reports an error. An empty field `error`, which some servers send with every chunk,
    is not an error."""
    if isinstance(value, list):
        # Google's endpoint wraps the error in a list.
        return bool(value) and isinstance(value[0], dict) and is_error(value[0])
    if not isinstance(value, dict):
        return False
    has_error = _is_filled(value.get("error")) or "error" in (value.get("type"), value.get("object"))
    # MiniMax reports errors beside an empty completion.
    base = value.get("base_resp")
    return has_error or (isinstance(base, dict) and bool(base.get("status_code"))) or inner_error(value) is not None


def inner_error(value: dict[str, Any]) -> Any:
    """Returns the error that a part of a completion or chunk reports, or None if no part reports an error.

    OpenRouter's API reports an error in a choice, other servers in a message or delta, and Groq's API in `x_groq`.
    """
    parts = [value.get("x_groq")]
    for choice in objects(value.get("choices")):
        parts += [choice, choice.get("message"), choice.get("delta")]
    return next((part["error"] for part in objects(parts) if _is_filled(part.get("error"))), None)


def error_in(value: dict[str, Any]) -> Any:
    """Returns the description of the error in a JSON object, or the object if no known field describes the error."""
    if _is_filled(value.get("error")):
        return value["error"]
    return next((error for error in (inner_error(value), _unusual_error(value)) if error is not None), value)


def _unusual_error(value: dict[str, Any]) -> Any:
    """Returns the description of an error in the fields of Cloudflare, Bedrock, Baidu and other servers.

    Returns None if all these fields are missing or empty.
    """
    nested = [entry for name, entry in value.items() if _NESTED_ERROR.fullmatch(name) and _is_filled(entry)]
    parts = [(_PART_OF_ERROR.fullmatch(name), entry) for name, entry in value.items() if entry]
    return next(iter(nested), {match[1].lower(): entry for match, entry in parts if match} or None)


def early_end(reason: str) -> str:
    """Returns a finish reason in the list `FAILED` as the JSON of an error."""
    return json.dumps({"message": f"the answer ended with the finish reason `{reason}`", "code": reason})


def _is_filled(error: Any) -> bool:
    return any(error.values()) if isinstance(error, dict) else bool(error)


def has_message(value: Any) -> bool:
    """Returns whether a JSON value has a message, a code or a status in a field in which servers describe errors."""
    if not isinstance(value, dict):
        return False
    has_text = bool(text(value.get("message")) or text(value.get("msg")) or value.get("detail"))
    return has_text or value.get("status") == "error" or _unusual_error(value) is not None


def is_blocked(value: dict[str, Any]) -> bool:
    """Returns whether a completion's first choice has no message, and the choice's finish reason explains why."""
    choice = next(objects(value.get("choices")), {})
    is_given = any(choice.get(name) is not None for name in ("message", "delta", "text"))
    return not is_given and finish_reason(choice) not in (None, *_WITH_MESSAGE)


def choices(value: dict[str, Any]) -> list[Choice]:
    """Returns the choices of a completion. Choices that are not JSON objects are left out."""
    return [
        Choice(_index(choice, place), message(choice.get("message")), finish_reason(choice), usage(choice))
        for place, choice in enumerate(objects(value.get("choices")))
    ]


def chunk_choices(value: dict[str, Any]) -> list[ChunkChoice]:
    """Returns the choices of a chunk. Choices that are not JSON objects are left out."""
    return [
        ChunkChoice(_index(choice, 0), _delta(choice), finish_reason(choice), usage(choice))
        for choice in objects(value.get("choices"))
    ]


def _delta(choice: dict[str, Any]) -> AnswerMessage | None:
    """Returns the delta of a choice, or None if the choice has no usable delta.

    Some servers send a message or only a text instead of the delta.
    """
    delta = next((choice[name] for name in ("delta", "message", "text") if choice.get(name) is not None), None)
    return message({"content": delta} if isinstance(delta, str) else delta)


def message(value: Any) -> AnswerMessage | None:
    """Returns the message or the delta of a choice, or None if the value is not a JSON object."""
    if not isinstance(value, dict):
        return None
    content = value.get("content")
    read = AnswerMessage(
        content=[content] if isinstance(content, dict) else content if isinstance(content, (str, list)) else None,
        refusal=text(value.get("refusal")),
        reasoning_content=text(value.get("reasoning_content")),
        reasoning=text(value.get("reasoning")) or _first_text(value, _THINKING),
        tool_calls=[tool_call(call) for call in objects(value.get("tool_calls"))] or None,
        function_call=_function(value.get("function_call")),
        audio=_raw(value.get("audio") or _other_media(value)),
    )
    if not has_content(read):
        # The message may contain texts in fields that only one provider has.
        read.reasoning = _first_text(value, value)
    return read


def _first_text(message: dict[str, Any], names: Iterable[str]) -> str:
    """Returns the generated text in the first named field that contains one, or an empty text if none does."""
    return next(filter(None, (generated_text({name: message.get(name)}) for name in names)), "")


def _other_media(message: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a message that contain images or videos, and a list of content parts with media.

    The list of content parts is left out if the content also contains a text.
    """
    content = message.get("content")
    media = {name: message[name] for name in _MEDIA if message.get(name)}
    if any(part.get("type") in MEDIA for part in objects(content)) and not generated_text(content):
        media["images"] = content
    return media


def finish_reason(choice: dict[str, Any]) -> str | None:
    """Returns the reason why a choice ended, or None if no reason is reported."""
    reason = text(choice.get("finish_reason"))
    return None if reason in NO_REASON else reason


def usage(value: dict[str, Any]) -> Raw:
    """Returns the usage that a completion, chunk or choice reports. The result is empty if no usage is reported."""
    groq = value.get("x_groq")
    return join_usage(_raw(groq.get("usage") if isinstance(groq, dict) else None), _raw(value.get("usage")))


def tool_call(value: dict[str, Any]) -> ToolCall:
    """Returns a tool call of a complete answer, or a piece of a tool call of a streamed answer."""
    custom = value.get("custom")
    return ToolCall(
        _number(value.get("index")),
        text(value.get("id")),
        _function(value.get("function")),
        CustomTool(text(custom.get("name")), text(custom.get("input"))) if isinstance(custom, dict) else None,
    )


def _function(value: Any) -> Function | None:
    return Function(text(value.get("name")), value.get("arguments")) if isinstance(value, dict) else None


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yields the entries of a list that are JSON objects, or nothing if the value is not a list."""
    return (
        cast("dict[str, Any]", entry) for entry in (value if isinstance(value, list) else ()) if isinstance(entry, dict)
    )


def _index(choice: dict[str, Any], default: int) -> int:
    index = _number(choice.get("index"))
    return default if index is None else index


def _number(value: Any) -> int | None:
    """Returns the whole number that a value contains as an integer, a float or a text.

    Returns None if the value does not contain a whole number.
    """
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value[:18])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: Any) -> str | None:
    """Returns the value if the value is a text, else None."""
    return value if isinstance(value, str) else None


def _raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode()) if value else _NOTHING
