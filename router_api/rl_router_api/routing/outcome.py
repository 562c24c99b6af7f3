"""The result of a call, and the outcome of a request."""

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

    The answer is in `answer` (complete), `chunks` (a stream that was collected) or `stream` (a stream that is streamed
    through). `text` is the answer's text for policies.
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
        """Returns the call as policies see it."""
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
    """The answer to return, in `answer` (complete), `chunks` (to replay) or `stream` (to stream through).

    `target` is None for the router model's own answer.
    """

    target: str | None
    entry: Entry | None
    answer: Answer | None = None
    chunks: tuple[Chunk, ...] = ()
    stream: ChunkStream | None = None
