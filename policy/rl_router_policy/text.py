"""The text of a conversation that a policy reads: the last user message, shortened."""

from __future__ import annotations

import unicodedata

MAX_PART = 4_000
"""The number of characters that a policy reads at each end of a text, if the text has more than 8,000 characters."""


def shortened(text: str) -> str:
    """Returns a text, shortened to its first and last 4,000 characters if it has more than 8,000 characters.

    A question mark replaces each unpaired surrogate (half of a character such as an emoji), which JSON can contain.
    """
    if len(text) > 2 * MAX_PART:
        text = f"{text[:MAX_PART]}\n{text[-MAX_PART:]}"
    return _well_formed(text)


def normalised(text: str) -> str:
    """Returns a text in lower case, in NFC and with single spaces. Prompts with the same result count as one prompt."""
    return " ".join(unicodedata.normalize("NFC", _well_formed(text)).lower().split())


def _well_formed(text: str) -> str:
    return text.encode(errors="replace").decode()
