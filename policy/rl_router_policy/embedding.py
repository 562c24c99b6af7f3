"""The static word embedding: the vector of a text is the mean of the vectors of the text's tokens.

The command `make embedding` distils the vectors from the sentence encoder all-MiniLM-L6-v2.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from . import folder
from .errors import ArtefactError

BUNDLED = folder.BUNDLED / "embedding"
VECTORS, TOKENIZER = "vectors.safetensors", "tokenizer.json"
MAX_TOKENS = 2_048
"""The maximum number of tokens of a text that count. A text of 8,000 characters rarely has more tokens."""
_MAX_KNOWN, _MAX_WORD = 20_000, 40
"""The maximum number and the maximum length of the words whose tokens are kept in memory."""


class Embedding:
    """A static word embedding in memory.

    The attribute `hash` is the SHA-256 of the embedding's files. The attribute `dimensions` is the length of a vector.
    """

    def __init__(
        self, integers: NDArray[np.int8], scales: NDArray[np.float32], tokenizer: Tokenizer, digest: str
    ) -> None:
        self.hash = digest
        self.dimensions = integers.shape[1]
        self._integers = integers
        self._scales = scales
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        """The tokens of earlier words, because words repeat and the tokenizer is slow."""

    def vector(self, text: str) -> NDArray[np.float32]:
        """Returns the vector of a text, with the length 1. The vector of a text without tokens is zero."""
        ids = np.array(self._tokens(text), np.int64)
        total: NDArray[np.float32] = self._scales[ids] @ self._integers[ids].astype(np.float32)
        length = float(np.linalg.norm(total))
        return total / np.float32(length) if length else total

    def _tokens(self, text: str) -> list[int]:
        words = text.split()
        known = self._known
        new = [word for word in dict.fromkeys(words) if word not in known]
        if len(known) + len(new) > _MAX_KNOWN:
            known.clear()
            new = list(dict.fromkeys(words))
        encoded = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
        found = {word: each.ids for word, each in zip(new, encoded, strict=True)}
        known.update({word: ids for word, ids in found.items() if len(word) <= _MAX_WORD})
        return [id_ for word in words for id_ in (found[word] if word in found else known[word])][:MAX_TOKENS]


def load(path: Path) -> Embedding:
    """Returns the embedding in the folder `path`. Raises ArtefactError if a file is missing or damaged."""
    files = [path / VECTORS, path / TOKENIZER]
    try:
        digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
        tensors = load_file(files[0])
        return Embedding(tensors["integers"], tensors["scales"], _tokenizer(files[1]), digest)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ArtefactError(f"{path}: the embedding cannot be read: {error}. Install RL Router again") from None


def _tokenizer(file: Path) -> Tokenizer:
    """Returns the tokenizer in a file. Raises ValueError if the file is damaged."""
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 (the library raises only this class)
        raise ValueError(f"{file.name}: {error}") from None
