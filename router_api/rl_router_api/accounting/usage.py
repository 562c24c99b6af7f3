"""The token usage of a call, in counts that mean the same for every provider."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace


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
    has_lifetimes: bool = False
    """Whether the upstream reports how many tokens were written for which lifetime."""
    reported_total: int | None = None
    suspect: bool = False
    """Whether the counts contradict each other."""

    def with_long_writes(self) -> Usage:
        """Returns the usage with all cache writes at the longer lifetime, unless it reports the lifetimes itself."""
        if not self.written or self.has_lifetimes:
            return self
        return replace(self, written=0, written_long=self.written)

    @property
    def total(self) -> int:
        return self.reported_total or self.input + self.output
