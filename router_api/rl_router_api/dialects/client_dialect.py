"""`ClientDialect`: reads clients' requests and writes the responses to them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Protocol

from ..conversation.answer import Answer, Chunk
from ..conversation.request import Request
from ..errors import ApiError


class ClientDialect(Protocol):
    """The client side of a dialect. The module `client_side` in each dialect's folder implements it.

    `target` is the name of the target that answered, or None if the router model answered. `metadata` is
    `router_metadata`.
    """

    def read_request(self, body: bytes) -> Request:
        """Returns the request. Raises ApiError, a 400 that names the field."""

    def write_answer(self, answer: Answer, request: Request, target: str | None, metadata: dict[str, Any]) -> bytes:
        """Returns the response body for a whole answer."""

    def write_stream(
        self,
        chunks: AsyncIterator[list[Chunk]],
        request: Request,
        target: str | None,
        metadata: Callable[[], dict[str, Any]],
    ) -> AsyncGenerator[bytes, None]:
        """Yields the events of a streamed answer as its chunks arrive. Raises CallFailedError if the stream is cut.

        `metadata` is called after the last chunk has arrived.
        """

    def as_chunks(self, answer: Answer, request: Request) -> list[Chunk]:
        """Returns an answer of the router model as the chunks of a stream."""

    def write_error(self, error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
        """Returns the response body for an error, with the metadata if anything was paid for."""

    def write_error_event(self, error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
        """Returns the same body as an event, for a stream that has begun."""
