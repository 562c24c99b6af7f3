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
    """The result of a call: the ledger entry of the call's last attempt, and the answer or the failure.

    The attribute `answer` contains a complete answer. The attribute `chunks` contains the chunks of a stream that was
    read to the end. The attribute `stream` contains a stream that the router passes on to the client while the chunks
    arrive. The attribute `text` is the text of `answer` or `chunks`, which policies receive.
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
        """Returns the call as an object of the class `PastCall`, which policies receive."""
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
    """The answer to a request.

    The attribute `answer` contains a complete answer. The attribute `chunks` contains the chunks of a stream that was
    read to the end. The attribute `stream` contains a stream that the router passes on to the client while the chunks
    arrive. The attribute `target` is the name of the target that answered, or None if the router model wrote the answer
    itself.
    """

    target: str | None
    entry: Entry | None
    answer: Answer | None = None
    chunks: tuple[Chunk, ...] = ()
    stream: ChunkStream | None = None
