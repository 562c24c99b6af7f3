"""What a dialect does in front of the router: it reads clients' requests and writes what they are answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Protocol

from ..conversation.answer import Answer, Chunk
from ..conversation.request import Request
from ..errors import ApiError


class Front(Protocol):
    """A dialect as clients speak it. Each dialect's folder has a module `front` of this form.

    `target` names the target that answered, or is None if it was the router model. `metadata` is `router_metadata`.
    """

    def read_request(self, body: bytes) -> Request:
        """Returns the request. Raises ApiError, a 400 that names the field."""

    def write_answer(self, answer: Answer, request: Request, target: str | None, metadata: dict[str, Any]) -> bytes:
        """Returns the body of a whole answer."""

    def write_stream(
        self,
        chunks: AsyncIterator[list[Chunk]],
        request: Request,
        target: str | None,
        metadata: Callable[[], dict[str, Any]],
    ) -> AsyncGenerator[bytes, None]:
        """Yields the events of a streamed answer as its chunks come. Raises CallFailedError if the answer is cut.

        `metadata` is asked once the last chunk is here.
        """

    def as_chunks(self, answer: Answer, request: Request) -> list[Chunk]:
        """Returns a text of the router model's own as the chunks of a stream."""

    def write_error(self, error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
        """Returns the body of an error, with the metadata beside it if anything was paid for."""

    def write_error_event(self, error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
        """Returns the same as an event of a stream that has begun."""
