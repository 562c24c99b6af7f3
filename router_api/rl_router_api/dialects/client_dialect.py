"""The interface `ClientDialect`, whose methods read clients' requests and write the responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Protocol

from ..conversation.answer import Answer, Chunk
from ..conversation.request import Request
from ..errors import ApiError


class ClientDialect(Protocol):
    """The interface for the client side of a dialect.

    The module `client_side` in the folder of each dialect implements the interface `ClientDialect`.

    The parameter `target` is the name of the target that answered, or None if the router model answered. The parameter
    `metadata` is the value of the response's field `router_metadata`, or a function that returns this value.
    """

    def read_request(self, body: bytes) -> Request:
        """Returns the internal request for the body of a client's request.

        Raises ApiError with status 400 if the body is invalid. If a field of the body is invalid, the error names the
        field.
        """

    def write_answer(self, answer: Answer, request: Request, target: str | None, metadata: dict[str, Any]) -> bytes:
        """Returns the response body for a complete answer."""

    def write_stream(
        self,
        chunks: AsyncIterator[list[Chunk]],
        request: Request,
        target: str | None,
        metadata: Callable[[], dict[str, Any]],
    ) -> AsyncGenerator[bytes, None]:
        """Yields the server-sent events of a streamed answer as the answer's chunks arrive.

        Raises CallFailedError if the target's stream fails. The function `metadata` returns the value of the
        field `router_metadata`, and is called after the last chunk has arrived.
        """

    def as_chunks(self, answer: Answer, request: Request) -> list[Chunk]:
        """Returns an answer of the router model as the chunks of a stream."""

    def write_error(self, error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
        """Returns the response body for an error. The parameter `metadata` is None if no model was called."""

    def write_error_event(self, error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
        """Returns the error as a server-sent event for a stream that has already begun."""
