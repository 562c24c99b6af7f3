"""Runs the sentence encoder all-MiniLM-L6-v2 with numpy, for texts that all have the same number of tokens.

The encoder is a BERT model with 6 layers, 12 attention heads and vectors of 384 numbers:
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LAYERS, HEADS, WIDTH = 6, 12, 384
_EPSILON = 1e-12  # `layer_norm_eps` of the model's configuration


class Encoder:
    """The sentence encoder with the tensors of the file `model.safetensors`."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors = tensors

    def encode(self, ids: NDArray[np.int64]) -> Array:
        """Returns the mean of each text's last-layer vectors: (texts, 384). The shape of `ids` is (texts, tokens)."""
        states = self._embed(ids)
        for layer in range(LAYERS):
            states = self._layer(f"encoder.layer.{layer}", states)
        mean: Array = states.mean(axis=1)
        return mean

    def _embed(self, ids: NDArray[np.int64]) -> Array:
        name = "embeddings.{}_embeddings.weight".format
        positions = self._tensors[name("position")][: ids.shape[1]]
        words = self._tensors[name("word")][ids]
        return self._norm("embeddings.LayerNorm", words + positions + self._tensors[name("token_type")][0])

    def _layer(self, name: str, states: Array) -> Array:
        attended = self._linear(f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", states))
        states = self._norm(f"{name}.attention.output.LayerNorm", states + attended)
        inner = _gelu(self._linear(f"{name}.intermediate.dense", states))
        return self._norm(f"{name}.output.LayerNorm", states + self._linear(f"{name}.output.dense", inner))

    def _attention(self, name: str, states: Array) -> Array:
        texts, tokens, _ = states.shape

        def heads(part: str) -> Array:
            return self._linear(f"{name}.{part}", states).reshape(texts, tokens, HEADS, -1).transpose(0, 2, 1, 3)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(WIDTH / HEADS))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        joined: Array = (weights @ value).transpose(0, 2, 1, 3).reshape(texts, tokens, WIDTH)
        return joined

    def _linear(self, name: str, states: Array) -> Array:
        product: Array = states @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]
        return product

    def _norm(self, name: str, states: Array) -> Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        scaled: Array = centred / np.sqrt(variance + _EPSILON) * self._tensors[f"{name}.weight"]
        return scaled + self._tensors[f"{name}.bias"]


def _gelu(x: Array) -> Array:
    """Returns x times the standard normal distribution function of x. The error function is approximated by formula
    7.1.26 of Abramowitz and Stegun. The approximation differs from the error function by at most 1.5e-7."""
    z = np.abs(x) * np.float32(1 / np.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    error = np.sign(x) * (1 - series * np.exp(-z * z))
    gelu: Array = (x * 0.5 * (1 + error)).astype(np.float32)
    return gelu
