"""Grades answers by exact match, regular expression, JSON schema or command. The module `judge` grades by a model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jsonschema_rs
from rl_router_policy.text import normalised

from ..errors import LabError
from .budget import Allotment
from .journal import Journal, key_of
from .prompts import Question, encoded


class Grading(Protocol):
    """A way to grade the answers to a prompt. The argument `answers` maps the names of targets to answers."""

    def check(self, question: Question) -> None:
        """Raises LabError if the row of a prompt lacks what the grading needs."""

    async def grade(self, question: Question, answers: Mapping[str, str], allotment: Allotment | None) -> None:
        """Makes the grades that are still missing. Without an allotment, makes only grades that cost no money."""

    def scores(self, question: Question, answers: Mapping[str, str]) -> dict[str, float]:
        """Returns the scores of the graded answers."""


class _Pure:
    """A grading whose scores depend only on the answer and the row."""

    async def grade(self, question: Question, answers: Mapping[str, str], allotment: Allotment | None) -> None:
        """Does nothing, because nothing must be stored."""

    def scores(self, question: Question, answers: Mapping[str, str]) -> dict[str, float]:
        return {target: float(self._is_good(question, answer)) for target, answer in answers.items()}

    def _is_good(self, question: Question, answer: str) -> bool:
        raise NotImplementedError


class Exact(_Pure):
    """Compares an answer with the row's field `expected`, apart from case and white space."""

    def check(self, question: Question) -> None:
        if not _texts(question.expected):
            raise LabError(
                f"{question.where}: `expected` is {question.expected!r}. Add the right answer: a text, a number, or a"
                " list of these"
            )

    def _is_good(self, question: Question, answer: str) -> bool:
        return normalised(answer) in {normalised(text) for text in _texts(question.expected)}


class Pattern(_Pure):
    """Searches an answer for the regular expression in the row's field `expected`."""

    def check(self, question: Question) -> None:
        try:
            re.compile(question.expected)
        except (re.error, TypeError) as error:
            reason = f"is no regular expression ({error})"
            raise LabError(f"{question.where}: `expected` {reason}. Correct the expression") from None

    def _is_good(self, question: Question, answer: str) -> bool:
        return re.search(question.expected, answer) is not None


class Schema(_Pure):
    """Checks an answer against the JSON schema in the row's field `expected`, or against a common schema."""

    def __init__(self, common: Any = None) -> None:
        self._common = common

    def check(self, question: Question) -> None:
        schema = self._schema(question)
        if not isinstance(schema, dict):
            raise LabError(
                f"{question.where}: `expected` is {schema!r}. Add a JSON schema (an object), or pass --schema FILE"
            )
        try:
            jsonschema_rs.validator_for(schema, offline=True)
        except (ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise LabError(f"{question.where}: `expected` is no JSON schema ({reason}). Correct the schema") from None

    def _schema(self, question: Question) -> Any:
        return self._common if question.expected is None else question.expected

    def _is_good(self, question: Question, answer: str) -> bool:
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            return False
        return jsonschema_rs.validator_for(self._schema(question), offline=True).is_valid(value)


class Command:
    """Runs a command for each answer. The attribute `problems` maps the place of a row to the reason of a failure."""

    def __init__(self, words: Sequence[str], seconds: float, journal: Journal) -> None:
        self._words, self._seconds, self._journal = tuple(words), seconds, journal
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)
        self.problems: dict[str, str] = {}
        self.timeouts = 0

    def check(self, question: Question) -> None:
        """Does nothing, because a command may grade any row."""

    async def grade(
        self,
        question: Question,
        answers: Mapping[str, str],
        allotment: Allotment | None,  # noqa: ARG002 - a part of the interface
    ) -> None:
        """Runs the command for each answer without a grade."""
        missing = [
            text for text in dict.fromkeys(answers.values()) if self._key(question, text) not in self._journal.records
        ]
        await asyncio.gather(*[self._grade_one(question, answer) for answer in missing])

    def scores(self, question: Question, answers: Mapping[str, str]) -> dict[str, float]:
        found = {target: self._journal.records.get(self._key(question, text)) for target, text in answers.items()}
        return {target: record["score"] for target, record in found.items() if record is not None}

    def _key(self, question: Question, answer: str) -> str:
        return key_of("command", self._words, question.row, answer)

    async def _grade_one(self, question: Question, answer: str) -> None:
        async with self._slots:
            try:
                score = await self._score(question, answer)
            except _NoScoreError as failure:
                self.problems[question.where] = str(failure)
                return
        self._journal.add(self._key(question, answer), {"score": score})

    async def _score(self, question: Question, answer: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            row = Path(folder) / "row.json"
            row.write_bytes(encoded(question.row))
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, env={**os.environ, "RL_ROUTER_ROW": str(row)}, start_new_session=True,
            )  # fmt: skip
            try:
                async with asyncio.timeout(self._seconds):
                    output, errors = await process.communicate(answer.encode(errors="replace"))
            except TimeoutError:
                self.timeouts += 1
                return 0.0
            finally:
                # The command may have left programs behind, such as a test that never ends.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return _score_of(process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace"))


class _NoScoreError(Exception):
    """A command gave no score."""


def _score_of(status: int, output: str, errors: str) -> float:
    """Returns the score in a command's output, or else the score that the exit status means. Raises _NoScoreError."""
    last = output.strip().rpartition("\n")[2].strip()
    if status == 0 and last:
        try:
            score = float(last)
        except ValueError:
            score = math.nan
        if 0 <= score <= 1:
            return score
        raise _NoScoreError(f"the last line of the output is {last[:100]!r}, not a number from 0 to 1")
    if status in (0, 1):
        return 1.0 - status
    reason = (errors.strip().rpartition("\n")[2] or "no message")[:200]
    raise _NoScoreError(f"the exit status is {status}, not 0 or 1 ({reason})")


def _texts(expected: Any) -> list[str]:
    values = expected if isinstance(expected, list) else [expected]
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values if _is_plain(value)]
    return texts if len(texts) == len(values) else []


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and value != ""
