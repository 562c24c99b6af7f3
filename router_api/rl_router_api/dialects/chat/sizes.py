"""Computes an upper bound on the number of input tokens, on which the worst-case cost of a call depends."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from ...config import Target
from ...conversation.raw import LIST, OBJECT, OBJECTS, begins, encoded, is_given
from ...conversation.request import Part, Request
from ..json_size import is_deeper
from .free_fields import FREE_FIELDS
from .history import max_added_bytes

_SIZED_PARTS = ("text", "refusal", "image_url", "input_audio")
_FIELDS_OF_PARTS = frozenset(
    (*_SIZED_PARTS, "type", "detail", "cache_control", "annotations", "citations", "id", "index", "signature",
     "extra_content")
)  # fmt: skip
_REFERENCES = ("audio", "images", "image", "videos", "video", "files", "file", "file_ids", "documents", "attachments")
"""The names of the message fields that may refer to content of any size."""
_MAX_ADDRESS = 4 * 1024
"""The maximum number of bytes of a field `image_url` that contains the address of an image. A longer field `image_url`
must contain the image itself. A field `image_url` of at most 4,096 bytes counts as an image and as text."""
_IMAGE = re.compile(
    r"\s*(?i:data:image/(?!svg)[a-z0-9.+-]{1,32}(;[a-z0-9.=-]{1,32})?;base64),[\sA-Za-z0-9+/=_-]*", re.ASCII
)
"""The pattern of an image in a data URL. An SVG image is text, so the pattern does not match an SVG image."""
_SOUND = re.compile(r"(data:(audio/[a-z0-9.+-]{1,32})?;base64,)?[A-Za-z0-9+/=_-]+")
_EXPANDED = 4
"""The maximum factor by which the JSON of tools may grow when a chat template adds line breaks and indentation. Growth
by 64 more bytes is also allowed. If the JSON grows by at most a factor of 4, one token per original byte is still an
upper bound, because a token of indentation has several bytes."""
_LONG = 16 * 1024
_MAX_DEPTH = 64
"""The maximum nesting depth at which tools with more than 16 KiB of JSON have a known upper bound of tokens. The router
does not format tools of this size that are nested more deeply, because the formatted JSON has four spaces before each
value for every level of nesting."""
_MAX_NAME = 64
_Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9./+-]{0,32}\Z")]
"""A short name in the field `image_url`, such as `high` or `image/png`."""


class _Picture(Struct, forbid_unknown_fields=True):
    url: str
    detail: _Word | None = None
    format: _Word | None = None


class _Sound(Struct, forbid_unknown_fields=True):
    data: str
    format: str | None = None


def max_input_tokens(request: Request, target: Target) -> int:
    """Returns an upper bound on the number of input tokens that a target reads for a request without advice.

    The upper bound is one token per byte of the fields that the target may put into the prompt under a money limit, one
    token per byte that the function `adapt` may add, and `max_image_tokens` tokens per image. In an
    `image_url` part, a field `image_url` of more than 4,096 bytes does not count as bytes, because the function
    `unsized_part` finds every such field that contains more than an image.
    """
    allowed = target.params.allow
    counted = [len(raw) for name, raw in request.fields.items() if name in FREE_FIELDS or name in allowed]
    pictures = [part for part in request.parts if part.type == "image_url" or is_given(part.image_url)]
    counted += [len(encoded(value)) for value in target.params.set.values()]
    sizes = [len(part.image_url) for part in pictures if part.type == "image_url"]
    images = len(pictures) * target.max_image_tokens - sum([size for size in sizes if size > _MAX_ADDRESS])
    return sum(counted) + images + max_added_bytes(request, target)


def unsized_part(request: Request) -> str | None:
    """Returns the name of a part of the request, such as a video, that may have any number of tokens.

    Returns None if the number of tokens of every part has an upper bound.
    """
    for name in ("tools", "functions"):
        if name in request.fields and _expands(request.fields[name]):
            return f"deeply nested `{name}` field"
    return next((part for message in _messages(request) if (part := _unsized_in(message))), None)


def _expands(raw: Raw) -> bool:
    text = bytes(raw)
    if len(text) > _LONG and is_deeper(text, _MAX_DEPTH):
        return True
    return len(msgspec.json.format(text, indent=4)) > _EXPANDED * len(text) + _MAX_NAME


def _messages(request: Request) -> list[dict[str, Raw]]:
    return OBJECTS.decode(request.fields["messages"])


def _unsized_in(message: dict[str, Raw]) -> str | None:
    for name in _REFERENCES:
        if name in message and is_given(message[name]):
            return f"message's `{name}`"
    content = message.get("content", Raw())
    parts = LIST.decode(content) if begins(content) == b"[" else []
    unsized = next((part for part in parts if not _is_sized(part)), None)
    if unsized is None:
        return None
    name = msgspec.json.decode(unsized, type=Part).type[:_MAX_NAME]
    return f"`{name}` part" if name else "content part without a type"


def _is_sized(raw: Raw) -> bool:
    """Returns whether a content part is text, an image or audio data, and has no unknown field."""
    if any(is_given(value) for name, value in OBJECT.decode(raw).items() if name not in _FIELDS_OF_PARTS):
        return False
    part = msgspec.json.decode(raw, type=Part)
    if part.type not in _SIZED_PARTS or (is_given(part.image_url) and not _is_image(part.image_url)):
        return False
    return not is_given(part.input_audio) or _contains_sound(part.input_audio)


def _is_image(raw: Raw) -> bool:
    """Returns whether a field `image_url` contains an image or a short address, and nothing else.

    A field `image_url` may also contain data of another type, such as a PDF with any number of pages.
    """
    try:
        picture = msgspec.json.decode(raw, type=str | _Picture)
    except msgspec.DecodeError:
        return False
    url = picture if isinstance(picture, str) else picture.url
    if len(raw) > _MAX_ADDRESS:
        return _IMAGE.fullmatch(url) is not None and not _has_repeated_fields(raw)
    start = url.strip()[:11].lower()
    return not start.startswith("data:") or start == "data:image/"


def _has_repeated_fields(raw: Raw) -> bool:
    """Returns whether an `image_url` object repeats a field. The decoder returns only the last value of the field.

    The valid texts of an `image_url` object contain no quotation marks, so the number of quotation marks shows the
    number of names and texts.
    """
    fields = OBJECT.decode(raw) if begins(raw) == b"{" else {}
    texts = sum([1 + (begins(value) == b'"') for value in fields.values()]) or 1
    return bytes(raw).count(b'"') > 2 * texts


def _contains_sound(raw: Raw) -> bool:
    """Returns whether a field `input_audio` contains audio data itself instead of the address of audio data."""
    try:
        return _SOUND.fullmatch(msgspec.json.decode(raw, type=_Sound).data) is not None
    except msgspec.DecodeError:
        return False
