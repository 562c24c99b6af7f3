"""Reads one answer for the verifier: the final answer, numbers that describe the form of the text, and the words."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p

import numpy as np

from . import features
from .final_answer import KINDS, NUMBER, Final, ToolCall, compact, final_answer
from .network import Array
from .text import shortened

FORM_NAMES = (
    "characters", "lines", "digits", "capitals", "operators", "commas", "backslashes", "questions", "hedges", "orders",
    "sentences", "paragraphs", "numbers", "different_numbers", "repetition", "refusal", "cut", "is_json", "only_final",
    "final_characters", "final_is_number", "final_size", "final_is_negative", "final_is_word", "final_is_constant",
    "final_has_brackets", "final_has_backslash", "final_has_slash", "final_in_prompt", "final_in_reasoning",
    "final_at_the_end", "final_is_last_number", *[f"final_from_{kind}" for kind in KINDS],
)  # fmt: skip
WORDS = 512
"""The number of groups of words. A hash function assigns each word to a group."""
_END = 200
"""The number of characters at the end of the reasoning in which the final answer is looked for."""
_MAX_BARE, _MAX_SIZE = 30, 10**9
_WORD = re.compile(r"[a-z]+")
_INTEGER = re.compile(r"-?\d{1,12}")
_SENTENCE = re.compile(r"[.!?](?:\s|\\n)")
_PARAGRAPH = re.compile(r"[Ss]tep|\\n\\n|\n\n")
_ORDER = re.compile(r"\b(?:first|then|next|after|iterat|loop)")
_HEDGE = re.compile(
    r"\b(?:however|wait|actually|perhaps|maybe|might|seems?|appears?|assum\w+|approximately|guess)\b", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"\bI(?:'m| am) (?:sorry|unable|not able)|\bI (?:can(?:not|'t)|won't) |\bas an AI\b|\bcannot be determined\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Question:
    """A prompt in the form that the verifier reads: the compact text, and the features of the text."""

    text: str
    features: Array


@dataclass(frozen=True)
class Reading:
    """What the verifier reads of an answer to a question.

    The attribute `form` contains numbers in the order of `FORM_NAMES`. The attribute `words` contains 1 for each group
    of words that has a word in the answer, and 0 for the other groups.
    """

    question: Question
    final: Final
    characters: int
    form: Array
    words: Array


def question_of(prompt: str) -> Question:
    """Returns a prompt in the form that the verifier reads."""
    text = shortened(prompt)
    return Question(compact(text), features.of_text(text))


def read_answer(question: Question, text: str, tool_calls: Sequence[ToolCall] = ()) -> Reading:
    """Returns what the verifier reads of an answer with a text and calls of the client's tools."""
    cut = shortened(text)
    final = final_answer(cut, tool_calls)
    form = np.array([*_text_numbers(cut), *_final_numbers(question, cut, final)], np.float32)
    return Reading(question, final, len(cut), form, _words(cut))


def _words(text: str) -> Array:
    groups = np.zeros(WORDS, np.float32)
    groups[[zlib.crc32(word.encode()) % WORDS for word in set(_WORD.findall(text.lower()))]] = 1
    return groups


def _text_numbers(text: str) -> list[float]:
    """Returns the numbers that do not depend on the final answer."""
    reasoning, size, words = _reasoning(text), max(len(text), 1), text.split()
    numbers = NUMBER.findall(reasoning)
    bare = _without_fence(text)
    return [
        log1p(len(text)),
        log1p(text.count("\n")),
        5 * sum(map(str.isdigit, text)) / size,
        5 * sum(map(str.isupper, reasoning)) / max(len(reasoning), 1),
        log1p(sum(map(text.count, "=+*/^<>"))),
        log1p(reasoning.count(",")),
        log1p(reasoning.count("\\")),
        log1p(text.count("?")),
        log1p(len(_HEDGE.findall(text))),
        log1p(len(_ORDER.findall(reasoning))),
        log1p(len(_SENTENCE.findall(reasoning))),
        log1p(len(_PARAGRAPH.findall(reasoning))),
        log1p(len(numbers)),
        log1p(len(set(numbers))),
        1 - len(set(words)) / max(len(words), 1),
        bool(_REFUSAL.search(text)),
        _is_cut(bare),
        _is_json(bare),
    ]


def _final_numbers(question: Question, text: str, final: Final) -> list[float]:
    value, reasoning = final.value, _reasoning(text)
    known, numbers, whole = bool(value), NUMBER.findall(reasoning), compact(reasoning)
    return [
        len(_without_fence(text)) - len(value) < _MAX_BARE,
        log1p(len(value)),
        bool(NUMBER.fullmatch(value)),
        log1p(min(abs(int(value)), _MAX_SIZE)) if _INTEGER.fullmatch(value) else 0,
        value.startswith("-"),
        value.isalpha(),
        value in ("true", "false", "none"),
        any(bracket in value for bracket in "[({"),
        "\\" in value,
        "/" in value,
        known and value in question.text,
        known and value in whole,
        known and value in compact(reasoning[-_END:]),
        bool(numbers) and numbers[-1] == value,
        *[final.kind == kind for kind in KINDS],
    ]


def _reasoning(text: str) -> str:
    """Returns the text before the last JSON field `answer`, or the whole text without such a field."""
    end = text.rfind('"answer"')
    return text if end < 0 else text[:end]


def _without_fence(text: str) -> str:
    """Returns the text without a fence of Markdown around it."""
    return text.strip().strip("`").removeprefix("json").strip()


def _is_cut(text: str) -> bool:
    """Returns whether the text ends in a JSON object that does not close, or in the middle of a sentence."""
    return not text.endswith("}") if text.startswith("{") else bool(text) and text[-1].isalnum()


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True
