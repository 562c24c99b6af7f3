"""The values that describe the router's changes to a client's request, such as a policy's advice."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

MAX_ADVICE = 2_000
"""The maximum number of characters of a policy's system prompt. The router shortens a longer system prompt to the first
2,000 characters."""
FOREIGN_HISTORY = "foreign_history"
"""The name under which the router remembers that an upstream refuses the answers of other models in a conversation.
Such an upstream gets these answers in an adapted form."""
_INTRODUCTION = "Advice for this answer; the system prompt takes precedence over it:\n"
_PART_OVERHEAD = len(',{"type":"text","text":""}')


class Advice(Struct, frozen=True):
    """The system prompt and the temperature that a policy can set for a call."""

    system_prompt: str | None = None
    temperature: float | None = None

    @property
    def text(self) -> str | None:
        """The text of the advice for a target: an introduction and the policy's system prompt, perhaps shortened.

        The text is None if the policy sets no system prompt.
        """
        return _INTRODUCTION + self.system_prompt[:MAX_ADVICE] if self.system_prompt else None

    @property
    def size(self) -> int:
        """The maximum number of bytes that the system prompt of the advice adds to a request, before JSON escaping."""
        return len((self.text or "").encode()) + _PART_OVERHEAD if self.system_prompt else 0

    def as_arguments(self) -> dict[str, Any]:
        """Returns the advice as the arguments of the router model's tool call."""
        arguments: dict[str, Any] = {}
        if self.system_prompt is not None:
            arguments["optimized_system_prompt"] = self.system_prompt
        if self.temperature is not None:
            arguments["temperature"] = self.temperature
        return arguments


NO_ADVICE = Advice()


class MoneyGuard(Struct, frozen=True):
    """The rules of a money limit for the request body of a call.

    Under a money limit, the router removes the request fields that may cost extra, and may limit the output. The
    attribute `output_limit` is the maximum number of output tokens for each choice, or None if no limit is set.
    """

    output_limit: int | None = None
