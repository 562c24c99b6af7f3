"""Contains two HTTP transports that use no socket.

The class RecordedTransport replays recorded responses. The class UnusedTransport fails if a test sends a request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rl_router_api.errors import TransportError

from fakes.upstreams.bodies import encoded

Recording = list[tuple[str, int, Any]]
"""The type of a recording: the host, the status and the body of each response.

The status 0 in a recording means that the connection is refused.
"""


class RecordedResponse:
    """A response of a recording. The first read of the response returns the whole body."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {}
        self._parts: Iterator[bytes] = iter([body])

    async def read(self) -> bytes:
        return next(self._parts, b"")

    def close(self) -> None: ...


class RecordedTransport:
    """A transport that replays a recording. Each request must go to the host of the next response in the recording."""

    def __init__(self, recording: Recording) -> None:
        self._left = list(recording)
        self.sent: list[dict[str, Any]] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, _: float
    ) -> RecordedResponse:
        host, status, answer = self._left.pop(0)
        assert url == f"http://{host}/v1/chat/completions"
        self.sent.append(json.loads(body or b"{}"))
        if status == 0:
            raise TransportError("refused", "cannot connect")
        return RecordedResponse(status, encoded(answer))

    async def close(self) -> None: ...

    @property
    def finished(self) -> bool:
        """Returns whether the transport has replayed every response of the recording."""
        return not self._left


class UnusedTransport:
    """A transport that raises AssertionError if a test sends a request."""

    async def send(self, *_: Any) -> Any:
        raise AssertionError

    async def close(self) -> None: ...
