"""The results: a call that was made, and the outcome of a request."""

from __future__ import annotations

from msgspec import Struct

from ..accounting.ledger import Entry
from ..conversation.answer import Answer, Chunk
from ..errors import CallFailedError
from ..upstreams.stream import ChunkStream
from .candidates import Callee
from .decide import PastCall


class MadeCall(Struct, frozen=True, eq=False):
    """A call that was made: its last attempt's entry, and an answer (whole, or as the chunks of a stream) or a failure.

    `text` is what a policy reads of the answer. `stream` is one that goes out as it comes.
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
        """Returns what a policy sees of it."""
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
    """Whose answer goes out: `answer` whole, `chunks` to be replayed, or `stream` to be relayed.

    `target` is None for the router model's own words.
    """

    target: str | None
    entry: Entry | None
    answer: Answer | None = None
    chunks: tuple[Chunk, ...] = ()
    stream: ChunkStream | None = None
