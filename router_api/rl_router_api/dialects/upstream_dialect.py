"""The interface `UpstreamDialect`, which writes requests to upstreams and reads their answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from msgspec import Struct

from ..config import Params, Target
from ..conversation.additions import Advice, MoneyGuard
from ..conversation.answer import Answer, Chunk
from ..conversation.request import Request


class Payload(Struct, frozen=True):
    """A request body for a target. `dropped` names the client's fields that were removed."""

    body: bytes
    dropped: tuple[str, ...]


class UpstreamDialect(Protocol):
    """The upstream side of a dialect. The module `upstream_side` in each dialect's folder implements it."""

    @property
    def path(self) -> str:
        """The path of the endpoint below a `base_url`."""

    def write_request(
        self, request: Request, target: Target, advice: Advice, guard: MoneyGuard | None = None
    ) -> Payload:
        """Returns the request body for a target. `guard` has the rules of a money limit."""

    def bounds_output(self, request: Request, params: Params) -> bool:
        """Returns whether the output limit and the number of choices are kept when `params` changes the request."""

    def max_input_tokens(self, request: Request, target: Target) -> int:
        """Returns an upper bound of the number of input tokens that the target reads."""

    def unsized_part(self, request: Request) -> str | None:
        """Returns the name of a part that may have any number of tokens, such as a video; None without such a part."""

    def read_answer(self, body: bytes) -> Answer:
        """Returns a complete answer. Raises BrokenAnswerError if the body is not an answer."""

    def read_chunks(self, events: list[bytes]) -> Iterator[Chunk]:
        """Yields the chunks of events, including error events. Raises BrokenAnswerError for any other event."""

    def read_error(self, text: str) -> dict[str, Any]:
        """Returns an error's plain fields, with its message as text; empty if `text` is not an error."""
