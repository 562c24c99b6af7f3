"""The static word embedding: the vector of a text is the sum of its tokens' vectors, scaled to the length 1.

The command `make embedding` distils the vectors from the sentence encoder all-MiniLM-L6-v2.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from . import folder
from .errors import ArtefactError
from .tokens import Tokenizer

BUNDLED = folder.BUNDLED / "embedding"
VECTORS, TOKENIZER = "vectors.safetensors", "tokenizer.json"
MAX_TOKENS = 2_048
"""The maximum number of tokens of a text that count. A text of 8,000 characters rarely has more tokens."""


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

    def vector(self, text: str) -> NDArray[np.float32]:
        """Returns the vector of a text, with the length 1. The vector of a text without tokens is zero."""
        ids = np.frombuffer(self._tokenizer.tokens(text), np.uintc)[:MAX_TOKENS]
        total: NDArray[np.float32] = self._scales[ids] @ self._integers[ids].astype(np.float32)
        length = float(np.linalg.norm(total))
        return total / np.float32(length) if length else total


def load(path: Path) -> Embedding:
    """Returns the embedding in the folder `path`. Raises ArtefactError if a file cannot be read or is damaged."""
    files = [path / VECTORS, path / TOKENIZER]
    try:
        digest = hashlib.sha256(b"".join(map(_digest, files))).hexdigest()
        with safe_open(files[0], "np") as tensors:
            scales = tensors.get_tensor("scales")
        return Embedding(_mapped(files[0], "integers"), scales, _tokenizer(files[1]), digest)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
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
    """Returns the tokenizer whose vocabulary is in a file of the library tokenizers.

    Raises ValueError or KeyError if the file is damaged.
    """
    return Tokenizer(json.loads(file.read_bytes())["model"]["vocab"])
