"""The word embedding: similar texts have similar vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from rl_router_policy import embedding
from rl_router_policy.errors import ArtefactError


@pytest.fixture(scope="module")
def bundled() -> embedding.Embedding:
    return embedding.load(embedding.BUNDLED)


@pytest.mark.parametrize(
    ("text", "similar", "different"),
    [
        ("Solve 3x + 5 = 20 for x.", "What is x if 7x - 4 = 10?", "Who painted the ceiling of the Sistine Chapel?"),
        ("Reverse a string in Python code.", "Write a Python function that sorts a list.", "How do I cook rice?"),
        ("Which planet is the largest?", "Name the moons of Jupiter.", "Translate this letter into French."),
    ],
)
def test_a_text_is_closer_to_a_text_on_the_same_topic(
    bundled: embedding.Embedding, text: str, similar: str, different: str
) -> None:
    vector = bundled.vector(text)
    assert vector @ bundled.vector(similar) > vector @ bundled.vector(different) + 0.05


def test_every_vector_has_the_length_1(bundled: embedding.Embedding) -> None:
    for text in ("hi", "日本語のテキスト", "word " * 10_000):
        assert np.linalg.norm(bundled.vector(text)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_a_text_without_tokens_has_the_vector_zero(bundled: embedding.Embedding, text: str) -> None:
    vector = bundled.vector(text)
    assert vector.shape == (bundled.dimensions,)
    assert not vector.any()


def test_only_the_first_tokens_of_a_long_text_count(bundled: embedding.Embedding) -> None:
    text = "word " * embedding.MAX_TOKENS
    assert np.array_equal(bundled.vector(text), bundled.vector(text + "other " * 100))


@pytest.mark.parametrize("name", [embedding.VECTORS, embedding.TOKENIZER])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"damaged"])
def test_a_missing_or_damaged_file_is_one_clear_error(tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = Path(shutil.copytree(embedding.BUNDLED, tmp_path / "embedding"))
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ArtefactError, match="the embedding cannot be read") as raised:
        embedding.load(folder)
    assert "\n" not in str(raised.value)


def test_words_that_are_unknown_or_too_long_have_no_influence(bundled: embedding.Embedding) -> None:
    assert not bundled.vector("x" * 100_000).any()
    assert np.array_equal(bundled.vector("hello " + "x" * 100_000), bundled.vector("hello"))


def test_a_text_has_the_same_vector_if_its_words_are_cached(bundled: embedding.Embedding) -> None:
    text = "the quick brown fox met the slow brown dog"
    assert np.array_equal(bundled.vector(text), bundled.vector(text))
    assert np.array_equal(bundled.vector(text), embedding.load(embedding.BUNDLED).vector(text))
