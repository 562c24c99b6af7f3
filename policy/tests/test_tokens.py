"""The tokens of the word embedding: the same as those of the library that made the vocabulary."""

from __future__ import annotations

import json
from unicodedata import category, ucd_3_2_0

import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from rl_router_policy import embedding
from rl_router_policy import tokens as tokens_module
from rl_router_policy.tokens import Tokenizer, words

FILE = embedding.BUNDLED / embedding.TOKENIZER
LIBRARY = tokenizers.Tokenizer.from_file(str(FILE))
OURS = Tokenizer(json.loads(FILE.read_bytes())["model"]["vocab"])
# The library and Python have different versions of Unicode. These characters have not changed since the version 3.2.
CHARACTERS = [
    character
    for character in map(chr, range(0x110000))
    if (kind := category(character)) == ucd_3_2_0.category(character) and kind not in ("Cn", "Co", "Cs")
]


def of_library(text: str) -> list[int]:
    return list(LIBRARY.encode(text.split(), is_pretokenized=True, add_special_tokens=False).ids)


def tokens(text: str) -> list[int]:
    return memoryview(OURS.tokens(text)).cast("I").tolist()


@given(st.text(st.sampled_from(CHARACTERS)))
@example("The quick brown fox, aged 3½, can't jump over 12_000 lazy-dogs!\n\tdef f(x): return x**2  # <html> & $x^2$")
@example("Ça coûte 5€; Σίσυφος İstanbul straße — „Größe“ ﬁne 日本語のテキスト 한국어 हिन्दी العربية ไทย \U0001d4b3 🙂")
@example("tab\x00zero\x07bell a\u200bb a\u00adb \ufeff \ufffd e\u0301 \x1c \x85 \u2028 x" + "y" * 120)
def test_a_text_has_the_tokens_of_the_library(text: str) -> None:
    assert tokens(text) == of_library(text)


def test_each_character_has_the_tokens_of_the_library() -> None:
    text = " ".join([f"a{character}b" for character in CHARACTERS])
    assert tokens(text) == of_library(text)


def test_texts_with_many_characters_and_words_do_not_fill_the_memory() -> None:
    fresh = Tokenizer({"[UNK]": 0})
    for text in ("".join(CHARACTERS), " ".join(CHARACTERS)):
        fresh.tokens(text)
        assert max(len(tokens_module._CHARACTERS), len(fresh._known)) <= tokens_module._MAX_KNOWN


def test_names_of_special_tokens_in_a_text_are_words() -> None:
    assert words("[SEP] [CLS]") == ["[", "sep", "]", "[", "cls", "]"]


def test_the_tokens_of_a_word_do_not_depend_on_earlier_words() -> None:
    fresh = Tokenizer({"[UNK]": 0, "a": 1, "##b": 2})
    for _ in range(2):
        assert memoryview(fresh.tokens("ab ABB ac")).cast("I").tolist() == [1, 2, 1, 2, 2, 0]


def test_a_vocabulary_without_the_unknown_token_is_refused() -> None:
    with pytest.raises(KeyError, match="UNK"):
        Tokenizer({"a": 1})
