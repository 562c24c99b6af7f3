"""The static word embedding: the vector of a text is the sum of its tokens' vectors, scaled to the length 1.

The command `make embedding` distils the vectors from the sentence encoder all-MiniLM-L6-v2.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
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

    The attribute `hash` is the SHA-256 of the digests of the embedding's files. The attribute `dimensions` is the
    length of a vector.
    """

    def __init__(
        self, integers: NDArray[np.int8], scales: NDArray[np.float32], tokenizer: Tokenizer, digest: str
    ) -> None:
        self.hash = digest
        self.dimensions = integers.shape[1]
        self._integers = integers
        self._scales = scales
        self._tokenizer = tokenizer
        self._known: dict[str, bytes] = {}
        """The tokens of earlier words, because words repeat and the tokenizer is slow. Bytes need the least memory."""

    def vector(self, text: str) -> NDArray[np.float32]:
        """Returns the vector of a text, with the length 1. The vector of a text without tokens is zero."""
        ids = self._tokens(text)
        total: NDArray[np.float32] = self._scales[ids] @ self._integers[ids].astype(np.float32)
        length = float(np.linalg.norm(total))
        return total / np.float32(length) if length else total

    def _tokens(self, text: str) -> NDArray[np.uintc]:
        words = text.split()
        known = self._known
        new = [word for word in dict.fromkeys(words) if word not in known]
        if len(known) + len(new) > _MAX_KNOWN:
            known.clear()
            new = list(dict.fromkeys(words))
        found = self._encoded(new) if new else {}
        known.update({word: ids for word, ids in found.items() if len(word) <= _MAX_WORD})
        tokens = b"".join([found[word] if word in found else known[word] for word in words])
        return np.frombuffer(tokens, np.uintc)[:MAX_TOKENS]

    def _encoded(self, words: list[str]) -> dict[str, bytes]:
        """Returns the tokens of each word. A batch would use other threads, for which a decision would have to wait."""
        tokens = {word: array("I") for word in words}
        encoded = self._tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
        for id_, position in zip(encoded.ids, encoded.word_ids, strict=True):
            if position is not None:
                tokens[words[position]].append(id_)
        return {word: ids.tobytes() for word, ids in tokens.items()}


def load(path: Path) -> Embedding:
    """Returns the embedding in the folder `path`. Raises ArtefactError if a file cannot be read or is damaged."""
    files = [path / VECTORS, path / TOKENIZER]
    try:
        digest = hashlib.sha256(b"".join(map(_digest, files))).hexdigest()
        with safe_open(files[0], "np") as tensors:
            scales = tensors.get_tensor("scales")
        return Embedding(_mapped(files[0], "integers"), scales, _tokenizer(files[1]), digest)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ArtefactError(f"{path}: the embedding cannot be read: {error}. Install RL Router again") from None


def _digest(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _mapped(file: Path, name: str) -> NDArray[np.int8]:
    """Returns a tensor of 8-bit integers in a file of the format safetensors, without a copy of the file in memory.

    The processes on one machine share the memory of the parts of the file that they use.
    """
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        tensor = json.loads(opened.read(size))[name]
    offset = 8 + size + tensor["data_offsets"][0]
    return np.asarray(np.memmap(file, np.int8, "r", offset, tuple(tensor["shape"])))


def _tokenizer(file: Path) -> Tokenizer:
    """Returns the tokenizer in a file. Raises ValueError if the file cannot be read or is damaged."""
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 (the library raises only this class)
        raise ValueError(f"{file.name}: {error}") from None
