"""The text of a conversation that a policy reads: the last user message, shortened."""

from __future__ import annotations

import unicodedata

MAX_PART = 4_000
"""The number of characters at the beginning and at the end of a text that a policy reads."""


def shortened(text: str) -> str:
    """Returns the first and the last 4,000 characters of a text, or the whole text if the text is not longer."""
    if len(text) <= 2 * MAX_PART:
        return text
    return f"{text[:MAX_PART]}\n{text[-MAX_PART:]}"


def normalised(text: str) -> str:
    """Returns a text in lower case with single spaces. Prompts with the same normalised text are the same prompt."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())
