"""The numbers that the item network and the memory read: the embedding of a prompt and the prompt's features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import features
from .embedding import Embedding
from .network import Array
from .text import shortened

_LIMIT = 4.0
"""A standardised feature is cut off at this number of standard deviations."""
_KEY_DIMENSIONS = 64
"""The number of dimensions of an embedding that count for the distance of two prompts. The dimensions of the embedding
are principal components, so the first ones differ most between texts."""
_FEATURE_WEIGHT = 0.5
"""The weight of all features together in the distance of two prompts. The weight of the embedding is 1."""


@dataclass(frozen=True)
class Scaler:
    """The means and the scales with which raw inputs are standardised.

    The attribute `centre` is the mean of the embeddings, and the attribute `spread` is their mean standard deviation.
    The attributes `means` and `deviations` are the means and the standard deviations of the features.
    """

    centre: Array
    spread: Array
    means: Array
    deviations: Array

    def standardised(self, raw: Raw) -> tuple[Array, Array]:
        """Returns the standardised embedding and the standardised features of one prompt or of several prompts.

        A feature that did not vary in the training data is 0, because nothing is known about its influence.
        """
        embedding = (raw.embedding - self.centre) / self.spread
        scaled = (raw.features - self.means) / np.where(self.deviations > 0, self.deviations, np.inf)
        return embedding.astype(np.float32), np.clip(scaled, -_LIMIT, _LIMIT).astype(np.float32)

    def tensors(self) -> dict[str, Array]:
        """Returns the attributes by the names that an artefact's file uses."""
        return {f"scaler.{name}": getattr(self, name) for name in ("centre", "spread", "means", "deviations")}


@dataclass(frozen=True)
class Raw:
    """The embedding and the features of a prompt, or of several prompts in rows, before they are standardised."""

    embedding: Array
    features: Array


def scaler_from(tensors: Mapping[str, Array]) -> Scaler:
    """Returns the scaler that an artefact's file contains. Raises KeyError if a tensor is missing."""
    return Scaler(*[tensors[f"scaler.{name}"] for name in ("centre", "spread", "means", "deviations")])


def fitted(raw: Raw) -> Scaler:
    """Returns the scaler for the prompts of a training table."""
    deviations = raw.features.std(axis=0)
    return Scaler(
        raw.embedding.mean(axis=0),
        np.array(max(float(raw.embedding.std(axis=0).mean()), 1e-6), np.float32),
        raw.features.mean(axis=0),
        np.where(deviations > 1e-6, deviations, 0).astype(np.float32),
    )


def read(text: str, context: features.Context, embedding: Embedding) -> Raw:
    """Returns the raw inputs for the last user message of a conversation and for the rest of the conversation."""
    cut = shortened(text)
    return Raw(embedding.vector(cut), np.concatenate([features.of_text(cut), features.of_context(context)]))


def network_inputs(embedding: NDArray[np.float32], features_: NDArray[np.float32]) -> Array:
    """Returns the inputs of the item network, from standardised numbers of one prompt or of several prompts."""
    return np.concatenate([embedding, features_], axis=-1)


def key_length(dimensions: int, features_: int) -> int:
    """Returns the length of a point in the memory, for an embedding's number of dimensions and a number of features."""
    return min(dimensions, _KEY_DIMENSIONS) + features_


def memory_key(embedding: NDArray[np.float32], features_: NDArray[np.float32]) -> Array:
    """Returns the point that stands for a prompt in the memory, from standardised numbers of one or several prompts."""
    first = embedding[..., :_KEY_DIMENSIONS]
    length = np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), 1e-6)
    weight = np.float32(_FEATURE_WEIGHT / np.sqrt(features_.shape[-1]))
    return np.concatenate([first / length, features_ * weight], axis=-1).astype(np.float32)
