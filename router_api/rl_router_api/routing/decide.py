"""What a policy is asked and what it answers: the second hop.

A policy lives in a file of its own in `policies/` and is found by that file's name. It has one method, `decide`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from ..accounting.ledger import Entry
from ..dialects.chat.read_answer import Chunk, Completion
from ..dialects.chat.read_request import ChatRequest
from ..dialects.chat.write_request import NO_ADVICE, Advice
from ..errors import CallFailedError
from ..upstreams.call import ChunkStream
from .candidates import Candidate
from .limits import Limits


class PlannedCall(Struct, frozen=True):
    """A target to ask and with which advice."""

    target: str
    advice: Advice = NO_ADVICE


class Decision(Struct, frozen=True):
    """One turn's decision: calls to make, or a call whose answer goes out, or a text of the policy's own, or nothing.

    `select` is a call id, a function's name or a model's name. `direct` is the policy's own answer. `final` commits the
    first call: its answer goes out unseen. With none of them the decision could not be had; `problem` says why.
    What it cost was booked in the request's ledger as it was spent.
    """

    calls: tuple[PlannedCall, ...] = ()
    select: str | None = None
    direct: Completion | None = None
    final: bool = False
    problem: str | None = None


class Asked(Struct, frozen=True, eq=False):
    """A call that was made: its last attempt's entry, and either an answer (whole, or as the chunks of a stream) or
    the failure. `text` is what the router model reads of it; `stream` is one that goes out as it comes."""

    candidate: Candidate
    entry: Entry
    completion: Completion | None = None
    chunks: tuple[Chunk, ...] = ()
    text: str = ""
    failure: CallFailedError | None = None
    stream: ChunkStream | None = None

    @property
    def good(self) -> bool:
        return self.failure is None


class Policy(Protocol):
    """Decides what to do next with a request."""

    async def decide(
        self, conversation: ChatRequest, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[Asked]
    ) -> Decision:
        """One turn. `calls` are those made so far, failed ones too; on the last turn with an answer in hand
        (`limits.ledger.turns == limits.max_turns`) only a selection leads on. Never raises for an upstream's sake."""
