"""The distillation of the word embedding from an encoder."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from rl_router_lab.embedding import distil, minilm

WORDS = 1_050


def random_tensors(inner: int = 64) -> dict[str, NDArray[np.float32]]:
    """Returns the tensors of an encoder with random weights."""
    random = np.random.default_rng(1)
    width = minilm.WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, width),
        "embeddings.position_embeddings.weight": (512, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for layer in range(minilm.LAYERS):
        name = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{name}.{part}.weight": (width, width), f"{name}.{part}.bias": (width,)}
        shapes |= {f"{name}.intermediate.dense.weight": (inner, width), f"{name}.intermediate.dense.bias": (inner,)}
        shapes |= {f"{name}.output.dense.weight": (width, inner), f"{name}.output.dense.bias": (width,)}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{name}.{part}.weight": (width,), f"{name}.{part}.bias": (width,)}
    return {name: random.normal(scale=0.1, size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def encoder() -> minilm.Encoder:
    return minilm.Encoder(random_tensors())


def test_texts_in_a_batch_do_not_influence_each_other(encoder: minilm.Encoder) -> None:
    texts = np.array([[101, 1_000, 102], [101, 1_001, 102]])
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode(texts[:1]), encoder.encode(texts[1:])])
    assert together.shape == (2, minilm.WIDTH)
    assert np.allclose(together, alone, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-5


def test_the_activation_function_is_the_gaussian_error_linear_unit() -> None:
    x = np.linspace(-6, 6, 101).astype(np.float32)
    expected = [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x.tolist()]
    assert np.allclose(minilm._gelu(x), expected, atol=1e-6)


def test_every_token_gets_a_vector_and_unused_tokens_get_zero(encoder: minilm.Encoder) -> None:
    shares: list[float] = []
    vectors = distil.reduced(distil.token_vectors(encoder, WORDS, shares.append))
    assert vectors.shape == (WORDS, distil.DIMENSIONS)
    assert not vectors[:999].any()
    assert vectors[999:].any(axis=1).all()
    assert shares[-1] == 1


def test_frequent_tokens_have_shorter_vectors() -> None:
    same = np.random.default_rng(2).normal(size=(1, 384)).astype(np.float32)
    noise = np.random.default_rng(3).normal(size=(30_000, 384)).astype(np.float32)
    lengths = np.linalg.norm(distil.reduced(same + noise), axis=1)
    assert lengths[999:1_009].mean() < lengths[20_000:].mean() / 10


def test_8_bit_vectors_are_close_to_the_original_vectors() -> None:
    vectors = np.random.default_rng(4).normal(size=(10, 256)).astype(np.float32)
    vectors[3] = 0
    integers, scales = distil.quantised(vectors)
    assert integers.dtype == np.int8
    assert np.abs(integers * scales[:, None] - vectors).max() <= np.abs(vectors).max() / 254 + 1e-6
    assert not integers[3].any()
