"""The internal request: the parts of a client's request that routing uses, independent of the dialect.

For every field of the body except `model` and `router`, the internal request also contains the bytes that the client
sent (`msgspec.Raw`). If the router does not change a field, the target gets exactly these bytes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from .affinity import affinity_in

Prefer = Literal["cost", "balanced", "quality"]
Review = Literal["buffered", "never", "always"]
"""The types `Prefer` and `Review` are copies of types in the package `config`, because the packages `config` and
`conversation` do not import each other. The type checker mypy reports copies with values that the originals lack."""


Media = Literal["vision", "audio", "video", "file"]
"""A kind of media. The kind has the same name as the capability that a target needs to read media of this kind."""
MEDIA: dict[str, Media] = {
    "image_url": "vision", "image": "vision", "input_image": "vision", "image_embeds": "vision", "image_file": "vision",
    "input_audio": "audio", "audio_url": "audio", "audio": "audio", "audio_embeds": "audio",
    "video_url": "video", "video": "video", "input_video": "video",
    "file": "file", "document": "file", "input_file": "file", "file_url": "file", "document_url": "file",
}  # fmt: skip
"""A mapping from content part types to kinds of media, for the APIs of OpenAI, Anthropic, vLLM, Qwen and Mistral."""


class Part(Struct):
    """A content part of a message.

    Images, audio, videos and files stay raw JSON. The fields of the class have the same names as the fields of content
    parts in several API formats. The content parts of Gemini's and Bedrock's APIs have no type.
    """

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: Raw = Raw()
    input_audio: Raw = Raw()
    file: Raw = Raw()
    source: Raw = Raw()
    video_url: Raw = Raw()
    audio_url: Raw = Raw()
    file_url: Raw = Raw()
    image: Raw = Raw()
    video: Raw = Raw()
    audio: Raw = Raw()
    image_embeds: Raw = Raw()
    image_file: Raw = Raw()
    audio_embeds: Raw = Raw()
    document_url: Raw = Raw()
    base64: Raw = Raw()
    file_data: Raw = Raw()
    data: Raw = Raw()

    @property
    def media(self) -> int:
        """The size of the content part's image, audio, video or file, in bytes of JSON.

        The size is 0 for a text part, and for media in a field that the class `Part` lacks.
        """
        if self.text is not None and self.type in ("text", "input_text"):
            return 0
        return (
            len(self.image_url) + len(self.input_audio) + len(self.file) + len(self.source) + len(self.video_url)
            + len(self.audio_url) + len(self.file_url) + len(self.image) + len(self.video) + len(self.audio)
            + len(self.image_embeds) + len(self.image_file) + len(self.audio_embeds) + len(self.document_url)
            + len(self.base64) + len(self.file_data) + len(self.data)
        )  # fmt: skip

    @property
    def kind(self) -> Media | None:
        """The kind of media of the content part, or None if the part's type is not in `MEDIA`."""
        return MEDIA.get(self.type)


class Message(Struct):
    """The parts of a message that routing uses."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[dict[str, Raw]] | None = None
    tool_call_id: str | None = None
    function_call: Raw = Raw()
    images: Raw = Raw()
    audio: Raw = Raw()

    @property
    def pieces(self) -> int:
        """The number of content parts and tool calls in the message."""
        return (len(self.content) if isinstance(self.content, list) else 0) + len(self.tool_calls or ())


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """The `router` object of a request's body: the client's options for routing.

    The client's options apply within the server's limits.
    """

    max_cost: Annotated[Decimal, Meta()] | None = None
    deadline_ms: Annotated[int, Meta(gt=0)] | None = None
    models: Annotated[list[str], Meta(min_length=1, max_length=64)] | None = None
    policy: str | None = None
    max_turns: Annotated[int, Meta(ge=1)] | None = None
    review: Review | None = None
    prefer: Prefer | Annotated[float, Meta(gt=0, le=1e12)] | None = None
    """The goal, or the worth of a good answer in US dollars."""


_MORE_THAN_TEXT = frozenset(("response_format", "functions", "stop", "prediction", "web_search_options"))
"""The names of the request fields that prevent a direct answer, because the router model would ignore these fields."""
_INSTRUCTIONS = ("system", "developer")
"""The roles of the messages that the property `Request.affinity` ignores."""


class Request(Struct, frozen=True, eq=False, weakref=True):
    """A client's request for an answer."""

    fields: dict[str, Raw]
    """Every field of the request's body except the fields `model` and `router`, as raw JSON."""
    model: str
    messages: list[Message]
    stream: bool
    include_usage: bool
    """True if the client requested the usage in a streamed answer."""
    max_output: int | None
    """The client's maximum number of output tokens for each choice, or None if the client set no positive maximum."""
    n: int
    """The number of choices that the client requested (default: 1)."""
    needs: frozenset[str]
    """The capabilities that a target must have, named as in the configuration."""
    options: Options
    parts: list[Part]
    """The content parts of all messages of the request."""
    text_bytes: int
    """The size of `messages`, `tools`, `functions` and `response_format` without media, in bytes of JSON."""
    may_hold_affinity: bool
    """True if the request needs tools and the body contains `_rr`, the text with which the affinity in a tool call id
    begins."""
    input_tokens: int
    """The estimated number of input tokens: about one token per four bytes of `text_bytes`, and 1,500 tokens per image,
    audio clip, video or file."""

    @property
    def text_only(self) -> bool:
        """Whether the request needs no capability and has no field that prevents a direct answer."""
        return not self.needs and _MORE_THAN_TEXT.isdisjoint(self.fields)

    @property
    def affinity(self) -> str | None:
        """The affinity in the tool call id of the last tool result, or None if the tool call id has no affinity.

        The affinity is also None if the conversation does not end with tool results. System and developer messages
        after the tool results are ignored, because agents may add such messages.
        """
        last = next((each for each in reversed(self.messages) if each.role not in _INSTRUCTIONS), None)
        return affinity_in(last.tool_call_id) if last is not None and last.role == "tool" else None
