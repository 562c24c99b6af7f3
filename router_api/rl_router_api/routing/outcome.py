"""Defines the result of a call and the outcome of a request."""

from __future__ import annotations

from msgspec import Struct

from ..accounting.ledger import Entry
from ..conversation.answer import Answer, Chunk
from ..errors import CallFailedError
from ..upstreams.stream import ChunkStream
from .candidates import Callee
from .decide import PastCall


class MadeCall(Struct, frozen=True, eq=False):
    """A call that was made: the ledger entry of its last attempt, and its answer or its failure.

    A complete answer is in `answer`, a collected stream is in `chunks`, and a stream that is passed on to the client
    while it arrives is in `stream`. `text` is the answer's text for policies.
    """

    callee: Callee
    entry: Entry
    answer: Answer | None = None
    chunks: tuple[Chunk, ...] = ()
    text: str = ""
    failure: CallFailedError | None = None
    stream: ChunkStream | None = None

    @property
    def good(self) -> bool:
        return self.failure is None

    def as_past(self) -> PastCall:
        """Returns the call as the `PastCall` that policies receive."""
        entry = self.entry
        return PastCall(
            call_id=entry.call_id,
            target=self.callee.name,
            function_name=entry.function_name or self.callee.target.tool_name,
            arguments=entry.arguments,
            text=self.text,
            failure=self.failure.message if self.failure else None,
            cost=entry.cost,
            latency=entry.latency,
        )


class Outcome(Struct, frozen=True):
    """The answer to a request: a complete answer in `answer`, a collected stream in `chunks`, or an open `stream`.

    `target` is None if the router model wrote the answer itself.
    """

    target: str | None
    entry: Entry | None
    answer: Answer | None = None
    chunks: tuple[Chunk, ...] = ()
    stream: ChunkStream | None = None
