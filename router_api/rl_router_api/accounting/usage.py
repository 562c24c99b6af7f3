"""The token usage of a call, in counts that mean the same for every provider."""

from __future__ import annotations

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False):
    """Counts in tokens. `input` contains the cache reads and writes, `output` contains the thinking."""

    input: int = 0
    output: int = 0
    cached: int = 0
    """Input that was read from the provider's cache."""
    written: int = 0
    """Input that was written to the cache for its shorter lifetime."""
    written_long: int = 0
    """Input that was written to the cache for its longer lifetime."""
    reported_total: int | None = None
    suspect: bool = False
    """Whether the counts contradict each other."""

    @property
    def total(self) -> int:
        return self.reported_total or self.input + self.output
