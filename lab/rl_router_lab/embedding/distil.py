"""Distils a static word embedding from all-MiniLM-L6-v2: one vector for each token of the encoder's vocabulary.

Each token is encoded alone, between the start token and the end token of a text. The vectors are reduced to 256
dimensions by a principal component analysis, and scaled so that frequent tokens count less (smooth inverse frequency,
with frequencies that Zipf's law estimates from the order of the vocabulary). The method is that of Model2Vec:
https://github.com/MinishLab/model2vec
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .minilm import Array, Encoder

DIMENSIONS = 256
_BATCH = 512
_SMOOTHING = 1e-4
_START, _END = 101, 102  # the ids of [CLS] and [SEP]
_UNUSED = 999  # the ids 0 to 998 are [PAD], [UNK], [CLS], [SEP], [MASK] and unused tokens
"""The first id after the special and the unused tokens."""


def token_vectors(encoder: Encoder, vocabulary: int, progress: Callable[[float], None]) -> Array:
    """Returns the encoder's vector of each token alone: (vocabulary, 384)."""
    vectors = np.empty((vocabulary, 384), np.float32)
    for first in range(0, vocabulary, _BATCH):
        tokens = np.arange(first, min(first + _BATCH, vocabulary))
        texts = np.stack([np.full_like(tokens, _START), tokens, np.full_like(tokens, _END)], axis=1)
        vectors[tokens] = encoder.encode(texts)
        progress((first + len(tokens)) / vocabulary)
    return vectors


def reduced(vectors: Array) -> Array:
    """Returns the token vectors' first 256 principal components, weighted by inverse frequency: (vocabulary, 256)."""
    used = vectors[_UNUSED:]
    centred = vectors - used.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(centred[_UNUSED:].astype(np.float64), rowvar=False))  # in ascending order
    components = centred @ axes[:, ::-1][:, :DIMENSIONS].astype(np.float32)
    ranks = np.maximum(np.arange(len(vectors)) - _UNUSED, 0) + 2
    frequencies = (1 / ranks) / np.sum(1 / ranks[_UNUSED:])
    weights = (_SMOOTHING / (_SMOOTHING + frequencies)).astype(np.float32)
    weights[:_UNUSED] = 0
    weighted: Array = components * weights[:, None]
    return weighted


def quantised(vectors: Array) -> tuple[NDArray[np.int8], Array]:
    """Returns the vectors as 8-bit integers and the scale of each vector: `vectors` is about
    `integers * scales[:, None]`."""
    scales = np.abs(vectors).max(axis=1) / 127
    integers = np.rint(vectors / np.maximum(scales, 1e-12)[:, None]).astype(np.int8)
    return integers, scales.astype(np.float32)
