"""The interface `UpstreamDialect`, which writes requests to upstreams and reads their answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from msgspec import Raw, Struct

from ..accounting.usage import Usage
from ..config import Params, Target
from ..conversation.additions import Advice, MoneyGuard
from ..conversation.answer import Answer, Chunk
from ..conversation.request import Request


class Payload(Struct, frozen=True):
    """A request body for a target.

    `dropped` names the client's fields that were removed, `added` the additions that the target may refuse.
    """

    body: bytes
    dropped: tuple[str, ...]
    added: tuple[str, ...] = ()


class Refusal(Struct, frozen=True):
    """What an upstream's error says about the request and about the upstream's account.

    `fields` are its plain fields, with the message as text; empty if the text is not an error. `status` is the HTTP
    status that the error names. `retry_after` is in seconds.
    """

    fields: dict[str, Any]
    status: int | None = None
    is_malformed: bool = False
    """Whether its code or type says that every upstream would reject the body."""
    names_quota: bool = False
    """Whether its code or type says that a quota or spend limit is exhausted."""
    mentions_quota: bool = False
    """Whether its message says so. Messages of rate limits do too."""
    retry_after: float | None = None


class UpstreamDialect(Protocol):
    """The upstream side of a dialect. The module `upstream_side` in each dialect's folder implements it."""

    @property
    def path(self) -> str:
        """The path of the endpoint below a `base_url`."""

    def write_request(
        self,
        request: Request,
        target: Target,
        advice: Advice,
        guard: MoneyGuard | None = None,
        *,
        without: Collection[str] = (),
        family: Collection[str] = (),
    ) -> Payload:
        """Returns the request body for a target. `guard` has the rules of a money limit.

        `without` names additions that are left out, because the target refuses them. `family` has the affinities of
        the targets whose answers in the conversation the target accepts as they are.
        """

    def bounds_output(self, request: Request, params: Params) -> bool:
        """Returns whether the output limit and the number of choices are kept when `params` changes the request."""

    def max_input_tokens(self, request: Request, target: Target) -> int:
        """Returns an upper bound of the number of input tokens that the target reads."""

    def unsized_part(self, request: Request) -> str | None:
        """Returns the name of a part that may have any number of tokens, such as a video; None without such a part."""

    def read_answer(self, body: bytes) -> Answer:
        """Returns a complete answer. Raises BrokenAnswerError if the body is not an answer."""

    def read_chunks(self, events: list[bytes]) -> Iterator[Chunk]:
        """Yields the chunks of events, including error events. Skips other events.

        Raises BrokenAnswerError for a damaged event.
        """

    def chunks_of(self, answer: Answer) -> list[Chunk]:
        """Returns a complete answer as the chunks of a stream, for servers that ignore `stream`."""

    def whole_of(self, chunks: Sequence[Chunk]) -> Answer:
        """Returns a stream's chunks as a complete answer, for servers that always stream. Raises BrokenAnswerError."""

    def read_usage(self, raw: Raw | bytes) -> Usage | None:
        """Returns a reported usage, or None if it reports neither input nor output."""

    def read_error(self, text: str, request: bytes = b"") -> Refusal:
        """Returns what an error says. Words of the error that also stand in the request body prove nothing."""
