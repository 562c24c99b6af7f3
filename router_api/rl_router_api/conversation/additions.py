"""What routing adds to a client's request: the advice of a policy, and what a money limit demands."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

MAX_ADVICE = 2_000
"""Characters of a system prompt that are used."""
_INTRODUCTION = "Advice for this answer; whatever stands above takes precedence over it:\n"
_MESSAGE_AROUND = len('{"role":"system","content":""},')


class Advice(Struct, frozen=True):
    """What a policy wants a call to be made with."""

    system_prompt: str | None = None
    temperature: float | None = None

    @property
    def text(self) -> str | None:
        """The system prompt as the target reads it, with its introduction."""
        return _INTRODUCTION + self.system_prompt[:MAX_ADVICE] if self.system_prompt else None

    @property
    def size(self) -> int:
        """The bytes that it adds to a request."""
        return len((self.text or "").encode()) + _MESSAGE_AROUND if self.system_prompt else 0

    def as_arguments(self) -> dict[str, Any]:
        """The arguments as the router model gave them."""
        arguments: dict[str, Any] = {}
        if self.system_prompt is not None:
            arguments["optimized_system_prompt"] = self.system_prompt
        if self.temperature is not None:
            arguments["temperature"] = self.temperature
        return arguments


NO_ADVICE = Advice()


class MoneyGuard(Struct, frozen=True):
    """What a money limit demands of a call: no field that may cost more, and this output limit, if any.

    `output_limit` is in tokens of one choice.
    """

    output_limit: int | None = None
