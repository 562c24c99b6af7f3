"""The interface `UpstreamDialect`, which writes requests to upstreams and reads upstreams' answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Raw, Struct

from ..accounting.usage import Usage
from ..config import Params, Target
from ..conversation.additions import Advice, MoneyGuard
from ..conversation.answer import Answer, Chunk
from ..conversation.request import Request


class Payload(Struct, frozen=True):
    """A request body for a target.

    The attribute `dropped` contains the names of the parts of the client's request that the router removed. The
    attribute `added` contains the names of the router's additions that the target may refuse.
    """

    body: bytes
    dropped: tuple[str, ...]
    added: tuple[str, ...] = ()
    keeps_cache_long: bool = False
    """Whether the body's field `prompt_cache_options` requests the longer lifetime for cache writes."""


class Refusal(Struct, frozen=True):
    """What an upstream's error says about the request, the quota of the router's account and the waiting time.

    The attribute `fields` contains the fields of the error that are neither lists nor objects. If the error has a
    message, the attribute `fields` contains the message as text. The attribute `fields` is empty if the text of the
    error is neither JSON nor plain text. The attribute `status` is the HTTP status that the error names, 429 if the
    error names no status but a rate limit, or else None. The attribute `retry_after` is the waiting time in seconds
    that the error names, or None.
    """

    fields: dict[str, Any]
    status: int | None = None
    is_malformed: bool = False
    """Whether a code or a type in the error says that every upstream would reject the request body."""
    is_too_large: bool = False
    """Whether the error's message says that the request has more tokens than a limit that is above 0."""
    names_quota: bool = False
    """Whether a code or a type in the error says that a quota or spend limit is exhausted."""
    mentions_quota: bool = False
    """Whether the error's message, code or type mentions an exhausted quota or spend limit, and the code and the type
    of the error name no other reason. Errors about rate limits may mention a quota too."""
    retry_after: float | None = None
    headers: Mapping[str, str] = {}
    """The headers of the provider's own response, if the error contains these headers. The names are in lower case."""


class UpstreamDialect(Protocol):
    """The interface for the upstream side of a dialect.

    The module `upstream_side` in the folder of each dialect implements the interface `UpstreamDialect`.
    """

    @property
    def path(self) -> str:
        """The path that is appended to the `base_url` of an upstream to get the URL for calls."""

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

        The parameter `guard` contains the rules of a money limit, or is None if the request has no money limit. The
        parameter `without` contains the names of the router's additions that the body must not contain, because the
        target may refuse these additions, and `FOREIGN_HISTORY` if the target refuses the answers of other models. The
        parameter `family` contains the affinities (hashes of the names) of all targets in the signing family of the
        called target.
        """

    def bounds_output(self, request: Request, params: Params) -> bool:
        """Returns whether a request keeps an output limit and gets no more choices when a target's `params` are
        applied to the request."""

    def costly_setting(self, params: Params) -> str | None:
        """Returns the name of a field in `params.set` that may cost extra, or None if no field may cost extra."""

    def max_input_tokens(self, request: Request, target: Target) -> int:
        """Returns an upper bound on the number of input tokens that a target reads for a request without advice."""

    def unsized_part(self, request: Request) -> str | None:
        """Returns the name of a part of the request, such as a video, that may have any number of tokens.

        Returns None if the number of tokens of every part has an upper bound.
        """

    def read_answer(self, body: bytes) -> Answer:
        """Returns the complete answer that a response body contains.

        Raises BrokenAnswerError if the body does not contain an answer.
        """

    def read_chunks(self, events: list[bytes]) -> Iterator[Chunk]:
        """Yields the chunks that server-sent events contain.

        An event with an error or a notice (`Chunk.is_notice`) also becomes a chunk. All other events are skipped.
        Raises BrokenAnswerError if an event is damaged. The iteration can then continue with the next event.
        """

    def chunks_of(self, answer: Answer) -> list[Chunk]:
        """Returns a complete answer as the chunks of a stream.

        Some servers ignore the request's field `stream` and send a complete answer instead of a stream.
        """

    def whole_of(self, chunks: Sequence[Chunk]) -> Answer:
        """Returns the complete answer that the chunks of a stream form.

        Some servers send a stream even if the request does not ask for a stream. Raises BrokenAnswerError if the
        chunks do not form an answer.
        """

    def join_usage(self, earlier: Raw, later: Raw) -> Raw:
        """Returns the combined usage of two reports about the same call.

        A token count in the later report replaces the earlier count, unless the later count is missing, invalid or 0.
        """

    def read_usage(self, raw: Raw | bytes) -> Usage | None:
        """Returns the usage that an upstream reported, or None if neither input tokens nor output tokens were
        reported."""

    def read_error(self, text: str, request: bytes = b"") -> Refusal:
        """Returns what the text of an upstream's error says about the request, a quota and a waiting time.

        Words about a quota or a waiting time in the error's message are ignored if the request body contains the same
        words.
        """
