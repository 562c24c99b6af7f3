"""Splits a text into the tokens of the word embedding, like BERT's uncased tokenizer.

The text becomes lower case and loses its accents. Each punctuation mark and each Chinese character is a word of its
own. A word becomes the longest tokens of the vocabulary (WordPiece, https://arxiv.org/abs/1609.08144, section 4.1).
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Mapping

_UNKNOWN, _CONTINUED = "[UNK]", "##"
_MAX_LETTERS = 100
"""The maximum number of characters of a word. A longer word becomes the token `[UNK]`."""
_MAX_KNOWN, _MAX_KEPT = 20_000, 40
"""The maximum number of words and of characters that are kept in memory, and the maximum length of these words."""
_UNUSUAL = re.compile(r"[^\t-\r\x1c-~]")
"""The pattern of the characters that are neither white space nor printable ASCII characters."""
_USUAL_WORD = re.compile(r"[a-z0-9]+|[!-/:-@[-`{-~]")
_CHINESE = (
    range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x2A6E0),
    range(0x2A700, 0x2B820), range(0x2B920, 0x2CEB0), range(0x2F800, 0x2FA20),
)  # fmt: skip
"""The Unicode blocks of Chinese characters that BERT's tokenizer separates."""
_REMOVED = frozenset(("Mn", "Cc", "Cf", "Co", "Cs"))
"""The Unicode categories of accents, of control and format characters, and of characters without a fixed meaning."""


class Tokenizer:
    """Splits texts into tokens. The parameter `vocabulary` contains the number of each token.

    Raises KeyError if the vocabulary has no token `[UNK]`.
    """

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary
        self._unknown = array("I", [vocabulary[_UNKNOWN]]).tobytes()
        self._known: dict[str, bytes] = {}
        """The tokens of earlier words. Bytes need the least memory."""

    def tokens(self, text: str) -> bytes:
        """Returns the numbers of a text's tokens as unsigned 32-bit integers."""
        known = self._known
        return b"".join([known.get(word) or self._tokens_of(word) for word in words(text)])

    def _tokens_of(self, word: str) -> bytes:
        """Returns the tokens of a word, and keeps them in memory."""
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        found = self._longest(word) if len(word) <= _MAX_LETTERS else self._unknown
        if len(word) <= _MAX_KEPT:
            self._known[word] = found
        return found

    def _longest(self, word: str) -> bytes:
        """Returns the longest token with which the word begins, then the longest token with which the rest begins, ...

        Returns `[UNK]` if the rest begins with no token of the vocabulary.
        """
        vocabulary, found, prefix, start = self._vocabulary, array("I"), "", 0
        while start < len(word):
            for end in range(len(word), start, -1):
                if (token := vocabulary.get(prefix + word[start:end])) is not None:
                    break
            else:
                return self._unknown
            found.append(token)
            prefix, start = _CONTINUED, end
        return found.tobytes()


def words(text: str) -> list[str]:
    """Returns the words and the punctuation marks of a text, in lower case and without accents."""
    if _UNUSUAL.search(text):
        return unicodedata.normalize("NFD", text).translate(_CHARACTERS).split()
    return _USUAL_WORD.findall(text.lower())


class _Characters(dict[int, str]):
    """A mapping from each character to the characters that replace it. An entry is made when it is needed.

    A full mapping begins again, because texts with all characters of Unicode would fill more than 100 MB.
    """

    def __missing__(self, code: int) -> str:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        replacement = self[code] = _replacement(chr(code))
        return replacement


def _replacement(character: str) -> str:
    category = unicodedata.category(character)
    if character.isspace():
        return " "
    if category in _REMOVED or character == "\N{REPLACEMENT CHARACTER}":
        return ""
    is_ascii_sign = character.isascii() and not character.isalnum()
    if category[0] == "P" or is_ascii_sign or any(ord(character) in block for block in _CHINESE):
        return f" {character} "
    return character.lower()


_CHARACTERS = _Characters()
