"""The features of a prompt: numbers that describe the form of the text, and the rest of the conversation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log1p

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")
_OPTION = re.compile(r"(?m)^\s*\(?[A-J][.):]")
_LETTERS, _DIGITS = [
    bytes([byte if pattern.fullmatch(chr(byte)) else ord(" ") for byte in range(256)]) for pattern in (_WORD, _NUMBER)
]
"""Tables for `bytes.translate` that replace every ASCII character that belongs to no word, or to no number."""
_CODE = frozenset(("def", "return", "class", "import", "assert", "function", "print"))

TEXT_NAMES = (
    "characters", "words", "word_length", "lines", "digits", "capitals", "operators", "brackets", "formulas",
    "questions", "options", "other_scripts", "numbers", "code_words",
)  # fmt: skip

_CHARACTERS_PER_TOKEN = 4
CONTEXT_NAMES = ("earlier_messages", "earlier_characters", "tools", "tool_results")


@dataclass(frozen=True)
class Context:
    """What a conversation contains besides the last user message.

    The attributes are the number of other messages, the number of their characters, the number of tools that the model
    may call, and the number of tool results.
    """

    messages: int = 0
    characters: int = 0
    tools: int = 0
    tool_results: int = 0

    def input_tokens(self, text: str) -> float:
        """Returns the estimated number of tokens of a conversation whose last user message is `text`."""
        return (len(text) + self.characters) / _CHARACTERS_PER_TOKEN


NO_CONTEXT = Context()
"""The context of a conversation that contains only one user message and no tools."""


def of_context(context: Context) -> NDArray[np.float32]:
    """Returns log(1 + n) for each number n in a context, in the order of `CONTEXT_NAMES`."""
    numbers = (context.messages, context.characters, context.tools, context.tool_results)
    return np.log1p(np.array(numbers, np.float32))


def of_text(text: str) -> NDArray[np.float32]:
    """Returns the 14 features of a text, in the order of `TEXT_NAMES`.

    A count n becomes log(1 + n). The features `digits` and `capitals` are shares of the characters, times 5. The
    feature `word_length` is the mean length of the words, divided by 10.
    """
    size = max(len(text), 1)
    ascii_ = text.encode("ascii", "ignore")
    words, numbers = _words(text, ascii_)
    return np.array(
        [
            log1p(size),
            log1p(len(words)),
            sum(map(len, words)) / max(len(words), 1) / 10,
            log1p(text.count("\n") + 1),
            5 * _share(ascii_, b"0123456789", size),
            5 * _share(ascii_, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", size),
            log1p(_count(ascii_, b"=+*/^<>")),
            log1p(_count(ascii_, b"{}[];`")),
            log1p(_count(ascii_, b"\\$")),
            log1p(text.count("?")),
            log1p(len(_OPTION.findall(text))),
            log1p(len(text) - len(ascii_)),
            log1p(numbers),
            log1p(sum([word in _CODE for word in words])),
        ],
        np.float32,
    )


def _words(text: str, ascii_: bytes) -> tuple[list[str], int]:
    """Returns the words of a text and the number of its numbers."""
    if len(ascii_) < len(text):
        return _WORD.findall(text), len(_NUMBER.findall(text))
    # For a text in ASCII, translated bytes give the same result in a third of the time.
    return ascii_.translate(_LETTERS).decode().split(), len(ascii_.translate(_DIGITS).split())


def _count(text: bytes, characters: bytes) -> int:
    return len(text) - len(text.translate(None, characters))


def _share(text: bytes, characters: bytes, size: int) -> float:
    return _count(text, characters) / size
