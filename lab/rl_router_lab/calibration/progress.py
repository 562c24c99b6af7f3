"""Shows the progress of a calibration on the standard error."""

from __future__ import annotations

import sys
from decimal import Decimal

_STEPS = 10


class Progress:
    """Shows the number of finished prompts and the spent money: in place on a terminal, else in ten lines."""

    def __init__(self, prompts: int) -> None:
        self._prompts, self._done = prompts, 0

    def end(self) -> None:
        """Ends the line on a terminal."""
        if self._done and sys.stderr.isatty():
            sys.stderr.write("\n")

    def step(self, spent: Decimal) -> None:
        """Counts a finished prompt."""
        self._done += 1
        text = f"{self._done:,} of {self._prompts:,} prompts, {spent:.4f} USD spent"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text} ")
            sys.stderr.flush()
        elif self._done * _STEPS // self._prompts > (self._done - 1) * _STEPS // self._prompts:
            sys.stderr.write(f"{text}\n")
