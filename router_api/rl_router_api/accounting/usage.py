"""Defines the token usage of an attempt, in counts that have the same meaning for every provider."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace


class Usage(Struct, frozen=True, gc=False):
    """The numbers of tokens of an attempt.

    The attribute `input` includes tokens that were read from or written to a cache. The attribute `output` includes
    reasoning tokens.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    """The number of input tokens that were read from the provider's cache."""
    written: int = 0
    """The number of input tokens that were written to the provider's cache for the shorter of the cache's two
    lifetimes, or for an unknown lifetime."""
    written_long: int = 0
    """The number of input tokens that were written to the provider's cache for the longer of the cache's two
    lifetimes."""
    has_lifetimes: bool = False
    """Whether the upstream reported for at least one lifetime that tokens were written to the cache."""
    reported_total: int | None = None
    suspect: bool = False
    """Whether the upstream reported an invalid number of input, output or total tokens, or contradictory counts."""

    def with_long_writes(self) -> Usage:
        """Returns the usage with cache writes of an unknown lifetime counted as writes for the longer lifetime.

        Returns the usage unchanged if the upstream reported a lifetime of cache writes.
        """
        if not self.written or self.has_lifetimes:
            return self
        return replace(self, written=0, written_long=self.written)

    @property
    def total(self) -> int:
        return self.reported_total or self.input + self.output
