"""The text of a conversation that a policy reads: the last user message, shortened."""

from __future__ import annotations

import unicodedata

MAX_PART = 4_000
"""The number of characters at the beginning and at the end of a text that a policy reads."""


def shortened(text: str) -> str:
    """Returns the first and the last 4,000 characters of a text, or the whole text if the text is not longer.

    A question mark replaces each half of a character that JSON can contain, such as half of an emoji.
    """
    if len(text) > 2 * MAX_PART:
        text = f"{text[:MAX_PART]}\n{text[-MAX_PART:]}"
    return _well_formed(text)


def normalised(text: str) -> str:
    """Returns a text in lower case with single spaces. Prompts with the same normalised text count as one prompt."""
    return " ".join(unicodedata.normalize("NFC", _well_formed(text)).lower().split())


def _well_formed(text: str) -> str:
    return text.encode(errors="replace").decode()
