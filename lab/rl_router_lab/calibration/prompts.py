"""Reads the prompts of a calibration."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_router_policy.text import normalised

from ..errors import LabError
from ..records import read_records

_REQUEST_FIELDS = ("tools", "tool_choice", "response_format", "temperature", "max_tokens")
"""The fields of a row that become fields of the requests."""


@dataclass(frozen=True)
class Question:
    """A prompt with its row of the file, and the place of the row for error messages."""

    id: str
    row: dict[str, Any]
    where: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        if isinstance(self.row.get("prompt"), str):
            return [{"role": "user", "content": self.row["prompt"]}]
        return list(self.row["messages"])

    @property
    def expected(self) -> Any:
        """The field `expected` of the row, or None."""
        return self.row.get("expected")

    @property
    def text(self) -> str:
        """The messages with normalised texts, by which repeated prompts are recognised."""
        texts = [message.get("content") for message in self.messages]
        plain = [normalised(text) if isinstance(text, str) else text for text in texts]
        pairs = zip(self.messages, plain, strict=True)
        return encoded([{**message, "content": content} for message, content in pairs]).decode()

    def body(self, target: str, max_output: int) -> bytes:
        """Returns the body of the request to a target. The row's field `max_tokens` may lower the output limit."""
        stated = {name: self.row[name] for name in _REQUEST_FIELDS if self.row.get(name) is not None}
        limit = min(stated.get("max_tokens", max_output), max_output)
        return encoded({"model": target, "messages": self.messages, **stated, "max_tokens": limit})


def encoded(value: object) -> bytes:
    """Returns a value as JSON with sorted keys. Half of a character, such as half of an emoji, stays escaped."""
    return json.dumps(value, sort_keys=True).encode()


def read_questions(file: Path, seed: int) -> tuple[list[Question], int]:
    """Returns the prompts of a file in a random order, and the number of rows that repeat another row's prompt.

    A prompt that is repeated, also under another id, is asked once. The order depends only on the seed and the ids, so
    that the prompts that a budget pays for are a random sample. Raises LabError if a row is wrong.
    """
    by_text: dict[str, Question] = {}
    texts: dict[str, str] = {}
    rows = 0
    for number, row in read_records(file):
        question = _question(file, number, row)
        text = question.text
        if texts.setdefault(question.id, text) != text:
            raise LabError(f"{question.where}: the id `{question.id}` has two prompts. Give each prompt its own id")
        by_text.setdefault(text, question)
        rows += 1
    if not rows:
        raise LabError(f"{file}: contains no prompt. Write one JSON object with `id` and `prompt` per line")
    return _shuffled(by_text.values(), seed), rows - len(by_text)


def _shuffled(questions: Iterable[Question], seed: int) -> list[Question]:
    return sorted(questions, key=lambda question: random.Random(f"{seed}:{question.id}").random())


def _question(file: Path, number: int, row: dict[str, Any]) -> Question:
    where = f"{file}, row {number}"
    if not isinstance(row.get("id"), str) or not row["id"]:
        raise LabError(f"{where}: `id` is {row.get('id')!r}. Give each row a text `id`")
    messages = row.get("messages")
    is_list = isinstance(messages, list) and messages and all(isinstance(message, dict) for message in messages)
    if not (isinstance(row.get("prompt"), str) and row["prompt"]) and not is_list:
        raise LabError(f"{where}: has neither a text `prompt` nor a list `messages` of objects. Add one")
    question = Question(row["id"], row, where)
    if all(message.get("role") != "user" for message in question.messages):
        raise LabError(f"{where}: no message has the role `user`. Add the user's message")
    limit = row.get("max_tokens")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise LabError(f"{where}: `max_tokens` is {limit!r}. Use an integer above 0, or remove the field")
    return question
