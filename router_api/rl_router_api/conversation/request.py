"""The internal request: what routing understands of a client's request, in whatever dialect that was written.

The body lies beside it as the bytes that the client sent (`msgspec.Raw`), field by field, so that whatever the router
does not change reaches a target unchanged.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from .affinity import affinity_in

Prefer = Literal["cost", "balanced", "quality"]
Review = Literal["buffered", "never", "always"]
"""Both as in the configuration, which imports nothing of ours either; the type checker holds them equal."""


class Part(Struct):
    """A content part; the payload of pictures, audio and files stays raw."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Raw = Raw()
    input_audio: Raw = Raw()
    file: Raw = Raw()

    @property
    def media(self) -> int:
        """The bytes of a picture, of audio or of a file."""
        return len(self.image_url) + len(self.input_audio) + len(self.file)


class Message(Struct):
    """What routing reads of a message."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[dict[str, Raw]] | None = None
    tool_call_id: str | None = None

    @property
    def pieces(self) -> int:
        """Content parts and tool calls."""
        return (len(self.content) if isinstance(self.content, list) else 0) + len(self.tool_calls or ())


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """The body's `router` object: what the client asks of routing, within the server's own limits."""

    max_cost: Annotated[Decimal, Meta()] | None = None
    deadline_ms: Annotated[int, Meta(gt=0)] | None = None
    models: Annotated[list[str], Meta(min_length=1, max_length=64)] | None = None
    policy: str | None = None
    max_turns: Annotated[int, Meta(ge=1)] | None = None
    review: Review | None = None
    prefer: Prefer | None = None


class Request(Struct, frozen=True, eq=False, weakref=True):
    """A client's request for an answer, as far as routing has to understand it."""

    fields: dict[str, Raw]
    """Every field of the body but `model` and `router`, as the client wrote it."""
    model: str
    messages: list[Message]
    stream: bool
    include_usage: bool
    """Whether the client of a stream asked for the usage."""
    max_output: int | None
    """The client's own limit on the tokens of one choice; None if it set none."""
    n: int
    """The number of choices."""
    needs: frozenset[str]
    """The capabilities that a target must have, as the configuration names them."""
    options: Options
    parts: list[Part]
    """All content parts of all messages."""
    text_bytes: int
    """The size of what a target reads as text."""
    may_hold_affinity: bool
    """Whether something in the body looks like the affinity of a tool call id."""
    input_tokens: int
    """An estimate of what a target reads: four bytes a token, 1,500 tokens a picture."""

    @property
    def text_only(self) -> bool:
        """Whether a plain text can be a whole answer to it."""
        return not self.needs and "response_format" not in self.fields and "functions" not in self.fields

    @property
    def affinity(self) -> str | None:
        """The affinity of the target whose tool calls the last messages answer, if this is a tool loop."""
        if not self.messages or self.messages[-1].role != "tool":
            return None
        return affinity_in(self.messages[-1].tool_call_id)
