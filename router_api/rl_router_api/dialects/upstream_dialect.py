"""What a dialect does behind the router: it writes requests to upstreams and reads what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from msgspec import Struct

from ..config import Params, Target
from ..conversation.additions import Advice, MoneyGuard
from ..conversation.answer import Answer, Chunk
from ..conversation.request import Request


class Payload(Struct, frozen=True):
    """A target's request body, and the client's fields that were left out of it."""

    body: bytes
    dropped: tuple[str, ...]


class Behind(Protocol):
    """A dialect as upstreams speak it. Each dialect's folder has a module `behind` of this form."""

    @property
    def path(self) -> str:
        """The path of its endpoint below a `base_url`."""

    def write_request(
        self, request: Request, target: Target, advice: Advice, guard: MoneyGuard | None = None
    ) -> Payload:
        """Returns the body for a target; under a money limit if there is a guard."""

    def bounds_output(self, request: Request, params: Params) -> bool:
        """Returns whether an output limit of ours, and the number of choices, stay in what `params` make of it."""

    def max_input_tokens(self, request: Request, target: Target) -> int:
        """Returns how many tokens the target reads at most."""

    def unsized_part(self, request: Request) -> str | None:
        """Returns the name of a part whose size in tokens nothing bounds, such as a video; None if there is none."""

    def read_answer(self, body: bytes) -> Answer:
        """Returns a whole answer. Raises BrokenAnswerError."""

    def read_chunks(self, events: list[bytes]) -> Iterator[Chunk]:
        """Yields the chunks of a stream's events, error events included. Raises BrokenAnswerError."""

    def read_error(self, text: str) -> dict[str, Any]:
        """Returns the plain values of an error, its message as text; empty if it is none."""
