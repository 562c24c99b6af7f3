"""Finds the images, audio, videos and files in the messages of a request.

Clients also send media in forms that OpenAI's chat completions API lacks: an image within a tool result, a content
part of another API, or a field `images` beside the content. The router decodes the messages completely only if a
message has a field `images` or `audio`, or a content part of an unknown type or with media in an unknown field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...conversation.raw import is_given
from ...conversation.request import MEDIA, Media, Message, Part

_TEXT = frozenset(
    ("text", "input_text", "output_text", "refusal", "thinking", "redacted_thinking", "reasoning", "summary_text",
     "tool_use", "tool_call", "function_call")
)  # fmt: skip
"""The types of content parts that a target reads as text."""
_INLINE = ("inline_data", "inlineData", "file_data", "fileData", "media")
"""The types of content parts and the names of fields that contain media in Gemini's API and in libraries for this API.
Only the MIME type tells the kind of media."""
_MIME = ("mime_type", "mimeType", "media_type", "mediaType")
_DATA = re.compile(r"(?:input_?)?(image|audio|video|file|document|pdf)_?(?:base64|b64|b64_json|blob|bytes|data)", re.I)
"""The pattern of the types of content parts and the names of fields with data of media, such as `image_base64`."""
_BY_MIME: dict[str, Media] = {"image": "vision", "audio": "audio", "video": "video"}
_DATA_URL = re.compile(rb'"data:([a-z]+)\\?/(?!octet-stream)', re.I)
"""The pattern of the start of a data URL in JSON. The MIME type `application/octet-stream` does not tell the kind."""
_MAX_START = 200
"""The number of bytes, from the start of a content part's fields, that are searched for the start of a data URL."""
_BESIDE: dict[str, Media] = {"images": "vision", "audio": "audio", "videos": "video", "files": "file"}
"""A mapping from the names of fields beside a message's field `content` to the kinds of media in these fields."""


class FoundMedia(Struct, frozen=True):
    """The media in a conversation: the kinds, the number of media, and the total size in bytes of JSON."""

    kinds: frozenset[Media] = frozenset()
    count: int = 0
    size: int = 0


_NO_MEDIA = FoundMedia()


def media_in(raw: Raw, rich: list[Message], parts: list[Part]) -> FoundMedia:
    """Returns the media in a conversation.

    The parameter `raw` contains the messages as raw JSON, the parameter `rich` contains at least the messages with
    content parts, images or audio, and the parameter `parts` contains the content parts of all messages.
    """
    if not rich:
        return _NO_MEDIA
    if any(is_given(message.images) or is_given(message.audio) for message in rich):
        return _decoded(raw)
    if any((part.type not in _TEXT) if part.kind is None else not part.media for part in parts):
        return _decoded(raw)
    sizes = [size for part in parts if (size := part.media)]
    kinds = [
        _in_image(part.image_url or part.image) if kind == "vision" else kind for part in parts if (kind := part.kind)
    ]
    return FoundMedia(frozenset(kinds), len(sizes), sum(sizes))


def _decoded(raw: Raw) -> FoundMedia:
    found = [each for message in msgspec.json.decode(raw) for each in _in_message(message)]
    return FoundMedia(frozenset([kind for kind, _ in found]), len(found), sum([size for _, size in found]))


def _in_message(message: dict[str, Any]) -> Iterator[tuple[Media, int]]:
    for name, kind in _BESIDE.items():
        beside = message.get(name)
        for each in beside if isinstance(beside, list) else [beside]:
            # An object that has only an id refers to the audio of an earlier answer. A target without the capability
            # `audio` can continue the conversation only if the message also has a text.
            if each and not (isinstance(each, dict) and each.keys() == {"id"} and message.get("content")):
                yield kind, len(msgspec.json.encode(each))
    yield from _in_content(message.get("content"))


def _in_content(content: Any) -> Iterator[tuple[Media, int]]:
    """Yields the kind and the size of each media item in the content of a message or of a content part."""
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict) or part.get("type") in _TEXT:
            continue
        kind = _kind(part)
        if kind is None:
            yield from _in_content(part.get("content"))
        else:
            data = msgspec.json.encode({name: part[name] for name in part if name not in ("type", "text")})
            yield _in_image(data) if kind == "vision" else kind, len(data)


def _kind(part: dict[str, Any]) -> Media | None:
    """Returns a content part's kind of media, from its type, field names or MIME type, or None if it is not media."""
    names = (str(part.get("type")), *part)
    for name in names:
        if name in MEDIA:
            return MEDIA[name]
    for fields in (part, *part.values()):
        # A field with a MIME type may also be a text, as in the resources of the Model Context Protocol.
        if isinstance(fields, dict) and "text" not in fields and (mime := _mime_of(fields)):
            return _BY_MIME.get(mime.partition("/")[0].lower(), "file")
    if any(name in _INLINE for name in names):
        return "file"
    found = next(filter(None, map(_DATA.fullmatch, names)), None)
    return _BY_MIME.get(found[1].lower(), "file") if found else None


def _mime_of(fields: dict[str, Any]) -> str:
    return str(next((fields[name] for name in _MIME if fields.get(name)), ""))


def _in_image(data: Raw | bytes) -> Media:
    """Returns the kind of media in the fields of a content part with an image.

    Some providers also read PDFs, audio and videos from a data URL in `image_url`.
    """
    found = _DATA_URL.search(data, 0, _MAX_START)
    return _BY_MIME.get(found[1].decode().lower(), "file") if found else "vision"
