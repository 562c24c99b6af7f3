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

    The attribute `dropped` contains the names of the client's fields that the router removed. The attribute `added`
    contains the names of the router's additions that the target may refuse.
    """

    body: bytes
    dropped: tuple[str, ...]
    added: tuple[str, ...] = ()
    keeps_cache_long: bool = False
    """Whether the body requests the longer lifetime of cache writes."""


class Refusal(Struct, frozen=True):
    """What an upstream's error says about the request and about the router's account at the upstream.

    The attribute `fields` contains the error's fields that are neither lists nor objects, with the message as text. The
    attribute `fields` is empty if the upstream's response does not contain an error. The attribute `status` is the HTTP
    status that the error names. The attribute `retry_after` is the waiting time in seconds that the error names.
    """

    fields: dict[str, Any]
    status: int | None = None
    is_malformed: bool = False
    """Whether the error's code or type says that every upstream would reject the request body."""
    names_quota: bool = False
    """Whether the error's code or type says that a quota or spend limit is exhausted."""
    mentions_quota: bool = False
    """Whether the error's message mentions an exhausted quota or spend limit. Messages about rate limits may mention a
    quota too."""
    retry_after: float | None = None


class UpstreamDialect(Protocol):
    """The upstream side of a dialect, which the module `upstream_side` in each dialect's folder implements."""

    @property
    def path(self) -> str:
        """The path of the endpoint for calls, which is appended to a `base_url`."""

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
        """Returns the request body for a target.

        The parameter `guard` has the rules of a money limit, or is None without a money limit. The parameter `without`
        contains the names of additions that are left out, because the target refuses these additions. The parameter
        `family` contains the affinities of the targets whose answers in the conversation the target accepts without
        changes.
        """

    def bounds_output(self, request: Request, params: Params) -> bool:
        """Returns whether the changes by a target's `params` keep the output limit and the number of choices of a
        request."""

    def max_input_tokens(self, request: Request, target: Target) -> int:
        """Returns an upper bound of the number of input tokens that the target reads."""

    def unsized_part(self, request: Request) -> str | None:
        """Returns the name of a request part that may have any number of tokens, such as a video.

        Returns None if the number of tokens of every part has an upper bound.
        """

    def read_answer(self, body: bytes) -> Answer:
        """Returns the complete answer that a body contains. Raises BrokenAnswerError if the body is not an answer."""

    def read_chunks(self, events: list[bytes]) -> Iterator[Chunk]:
        """Yields the chunks of server-sent events, including error events, and skips all other events.

        Raises BrokenAnswerError for a damaged event.
        """

    def chunks_of(self, answer: Answer) -> list[Chunk]:
        """Returns a complete answer as the chunks of a stream, for servers that ignore `stream`."""

    def whole_of(self, chunks: Sequence[Chunk]) -> Answer:
        """Returns a stream's chunks as a complete answer, for servers that always stream. Raises BrokenAnswerError."""

    def read_usage(self, raw: Raw | bytes) -> Usage | None:
        """Returns the usage that an upstream reported, or None if neither input tokens nor output tokens were
        reported."""

    def read_error(self, text: str, request: bytes = b"") -> Refusal:
        """Returns what an upstream's error says.

        The error's words about a quota are ignored if the request body contains the same words.
        """
