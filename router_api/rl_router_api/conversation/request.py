"""The internal request: the parts of a client's request that routing uses, independent of the dialect.

It also contains every field of the body as the bytes that the client sent (`msgspec.Raw`), so that fields that the
router does not change reach the target unchanged.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from .affinity import affinity_in

Prefer = Literal["cost", "balanced", "quality"]
Review = Literal["buffered", "never", "always"]
"""Copies of the types in `config`, because neither package may import the other; mypy checks that they match."""


class Part(Struct):
    """A content part; images, audio and files stay raw JSON."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Raw = Raw()
    input_audio: Raw = Raw()
    file: Raw = Raw()

    @property
    def media(self) -> int:
        """The size of an image, audio or file, in bytes of JSON."""
        return len(self.image_url) + len(self.input_audio) + len(self.file)


class Message(Struct):
    """The parts of a message that routing uses."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[dict[str, Raw]] | None = None
    tool_call_id: str | None = None

    @property
    def pieces(self) -> int:
        """The number of content parts and tool calls."""
        return (len(self.content) if isinstance(self.content, list) else 0) + len(self.tool_calls or ())


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """The body's `router` object: the client's options for routing, within the server's limits."""

    max_cost: Annotated[Decimal, Meta()] | None = None
    deadline_ms: Annotated[int, Meta(gt=0)] | None = None
    models: Annotated[list[str], Meta(min_length=1, max_length=64)] | None = None
    policy: str | None = None
    max_turns: Annotated[int, Meta(ge=1)] | None = None
    review: Review | None = None
    prefer: Prefer | None = None


class Request(Struct, frozen=True, eq=False, weakref=True):
    """A client's request for an answer."""

    fields: dict[str, Raw]
    """Every field of the body except `model` and `router`, as raw JSON."""
    model: str
    messages: list[Message]
    stream: bool
    include_usage: bool
    """Whether the client of a stream requested the usage."""
    max_output: int | None
    """The client's output limit in tokens for each choice; None if not set."""
    n: int
    """The number of choices."""
    needs: frozenset[str]
    """The capabilities that a target must have, named as in the configuration."""
    options: Options
    parts: list[Part]
    """All content parts of all messages."""
    text_bytes: int
    """Bytes of the content that a target reads as text."""
    may_hold_affinity: bool
    """Whether the body contains text that looks like the affinity of a tool call id."""
    input_tokens: int
    """Estimated input tokens: four bytes a token, 1,500 tokens an image."""

    @property
    def text_only(self) -> bool:
        """Whether plain text can answer the request completely."""
        return not self.needs and "response_format" not in self.fields and "functions" not in self.fields

    @property
    def affinity(self) -> str | None:
        """The affinity of the target whose tool calls the last message answers; None if it is not a tool result."""
        if not self.messages or self.messages[-1].role != "tool":
            return None
        return affinity_in(self.messages[-1].tool_call_id)
