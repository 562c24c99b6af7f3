"""A table of outcomes: how well each model answered each prompt.

The tidy form has one JSON object per line: `{"id", "prompt" or "messages", "tools"?, "task"?, "family"?, "scores":
{MODEL: 0 to 1}, "output_tokens"?: {MODEL: NUMBER}, "cost"?: {MODEL: USD}, "answers"?: {MODEL: TEXT}}`. A file may be
compressed with gzip (`.gz`) or be a Parquet file (`.parquet`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.features import Context
from rl_router_policy.text import normalised

from .errors import LabError
from .records import read_records

Array = NDArray[np.float64]
Texts = NDArray[np.object_]

USUAL_TOKENS = {
    "math": 350, "knowledge": 250, "code": 250, "logic": 350, "commonsense": 80, "factual": 30, "writing": 200,
}  # fmt: skip
"""The number of output tokens of a usual answer in each family of tasks, for answers of unknown length."""
_OTHER_TOKENS = 250
_MAXIMUM = 1e9
"""The maximum cost in US dollars, and the maximum number of output tokens, of an answer."""


@dataclass(frozen=True)
class Prompt:
    """A prompt of a table. The attribute `text` is the field `prompt`, or else the last user message."""

    id: str
    text: str
    context: Context
    task: str
    table: str

    @property
    def key(self) -> str:
        """The hash of the normalised text. Prompts with the same hash count as one prompt."""
        return hashlib.sha256(normalised(self.text).encode()).hexdigest()

    @property
    def input_tokens(self) -> float:
        return self.context.input_tokens(self.text)

    @property
    def short_key(self) -> str:
        """The first 16 hexadecimal digits of the key. A manifest lists the training prompts by these digits."""
        return self.key[:16]


def prompt_of(id_: str, text: str, task: str, table: str) -> Prompt:
    """Returns a prompt without earlier messages."""
    return Prompt(id_, text, Context(), task, table)


@dataclass(frozen=True)
class Table:
    """The outcomes of models on prompts.

    The attributes `scores`, `output_tokens` and `costs` have the shape (prompts, models). NaN stands for an unknown
    number. Costs are in US dollars. The attribute `answers` contains the text of each answer, or None for an unknown
    text. It is None if the table has no answers.
    """

    prompts: tuple[Prompt, ...]
    models: tuple[str, ...]
    scores: Array
    output_tokens: Array
    costs: Array
    answers: Texts | None = None

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Table:
        """Returns a table with the prompts that `chosen` selects."""
        positions = np.arange(len(self.prompts))[chosen]
        prompts = tuple([self.prompts[position] for position in positions])
        answers = None if self.answers is None else self.answers[chosen]
        return Table(prompts, self.models, self.scores[chosen], self.output_tokens[chosen], self.costs[chosen], answers)

    def columns(self, models: Sequence[str]) -> Table:
        """Returns a table with only the models `models`. Raises LabError if a model is not in the table."""
        unknown = sorted(set(models) - set(self.models))
        if unknown:
            raise LabError(f"the table has no model `{unknown[0]}`. Use one of its models: {', '.join(self.models)}")
        at = [self.models.index(model) for model in models]
        answers = None if self.answers is None else self.answers[:, at]
        arrays = (self.scores[:, at], self.output_tokens[:, at], self.costs[:, at])
        return Table(self.prompts, tuple(models), *arrays, answers)

    def answered(self) -> NDArray[np.bool_]:
        """Returns which answers have a text and a score: (prompts, models)."""
        known: NDArray[np.bool_] = ~np.isnan(self.scores)
        if self.answers is None:
            return np.zeros_like(known)
        texts = [text is not None for text in self.answers.ravel()]
        known &= np.array(texts, bool).reshape(known.shape)
        return known

    def complete(self) -> Table:
        """Returns a table with the prompts for which the scores of all models are known."""
        return self.rows(np.where(~np.isnan(self.scores).any(axis=1))[0])


def joined(tables: Sequence[Table]) -> Table:
    """Returns one table with the prompts and the models of several tables."""
    models = tuple(sorted({model for table in tables for model in table.models}))
    columns = [[models.index(model) for model in table.models] for table in tables]
    arrays = []
    for name in ("scores", "output_tokens", "costs"):
        rows = [np.full((len(table.prompts), len(models)), np.nan) for table in tables]
        for array, table, at in zip(rows, tables, columns, strict=True):
            array[:, at] = getattr(table, name)
        arrays.append(np.concatenate(rows))
    prompts = tuple([prompt for table in tables for prompt in table.prompts])
    scores, tokens, costs = arrays
    return Table(prompts, models, scores, tokens, costs, _joined_answers(tables, models))


def _joined_answers(tables: Sequence[Table], models: Sequence[str]) -> Texts | None:
    if all(table.answers is None for table in tables):
        return None
    parts = []
    for table in tables:
        part = np.full((len(table.prompts), len(models)), None, object)
        if table.answers is not None:
            part[:, [models.index(model) for model in table.models]] = table.answers
        parts.append(part)
    return np.concatenate(parts)


def read_tables(files: Iterable[Path], leave_out: Sequence[tuple[str, str]] = ()) -> Table:
    """Returns one table with the prompts of several files in the tidy form. Raises LabError."""
    return table_of([(file, number, row) for file in files for number, row in read_records(file)], leave_out)


def table_of(records: Iterable[tuple[Path, int, dict[str, Any]]], leave_out: Sequence[tuple[str, str]] = ()) -> Table:
    """Returns a table with rows in the tidy form. Each row comes with its file and its number. Raises LabError.

    The argument `leave_out` contains pairs of a field and a value. A row is left out if for any pair the field
    is the value or a list that contains the value.
    """
    rows = [record for record in records if not any(_has(record[2].get(field), value) for field, value in leave_out)]
    if not rows:
        raise LabError("no rows in the tables, or --leave-out removes all. Pass other tables, or remove a --leave-out")
    prompts = [_prompt(*row) for row in rows]
    _check_ids(rows, prompts)
    scores = [_numbers(*row, "scores", 1.0) for row in rows]
    empty = next((at for at, row in enumerate(scores) if not row), None)
    if empty is not None:
        raise LabError(f"{rows[empty][0]}, row {rows[empty][1]}: `scores` has no number. Add a score or delete the row")
    models = tuple(sorted({model for row in scores for model in row}))
    tokens = [_tokens(*row, models) for row in rows]
    costs = [_numbers(*row, "cost", _MAXIMUM) for row in rows]
    arrays = [_matrix(values, models) for values in (scores, tokens, costs)]
    return Table(tuple(prompts), models, arrays[0], arrays[1], arrays[2], _answers(rows, models))


def _has(field: object, value: str) -> bool:
    return value in field if isinstance(field, list) else field == value


def _prompt(file: Path, number: int, row: dict[str, Any]) -> Prompt:
    if not isinstance(row.get("id"), str) or not isinstance(row.get("scores"), dict):
        remedy = "Correct the row, or run `rl-router lab import` on the file"
        raise LabError(f"{file}, row {number}: lacks a string `id` or an object `scores`. {remedy}")
    text, context = _conversation(file, number, row)
    return Prompt(row["id"], text, context, str(row.get("task") or row.get("family") or ""), str(file))


def _conversation(file: Path, number: int, row: dict[str, Any]) -> tuple[str, Context]:
    if isinstance(row.get("prompt"), str):
        return row["prompt"], Context()
    messages = row.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise LabError(f"{file}, row {number}: has neither a string `prompt` nor a list `messages` of objects. Add one")
    last = max((at for at, message in enumerate(messages) if message.get("role") == "user"), default=None)
    if last is None:
        raise LabError(f"{file}, row {number}: no message has the role `user`. Add the user's message")
    others = [str(message.get("content") or "") for at, message in enumerate(messages) if at != last]
    results = sum(message.get("role") in ("tool", "function") for message in messages)
    context = Context(len(others), sum(map(len, others)), len(row.get("tools") or ()), results)
    return str(messages[last].get("content") or ""), context


def _check_ids(rows: Sequence[tuple[Path, int, Any]], prompts: Sequence[Prompt]) -> None:
    texts: dict[str, str] = {}
    for (file, number, _), prompt in zip(rows, prompts, strict=True):
        if texts.setdefault(prompt.id, prompt.key) != prompt.key:
            raise LabError(f"{file}, row {number}: the id `{prompt.id}` has two prompts. Give each prompt its own id")


def _numbers(file: Path, number: int, row: dict[str, Any], field: str, highest: float) -> dict[str, float]:
    stated = row.get(field) or {}
    if not isinstance(stated, dict):
        raise LabError(f"{file}, row {number}: `{field}` is not an object. Use an object with one number per model")
    values = {model: value for model, value in stated.items() if value is not None}
    for model, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= highest:
            limit = f"between 0 and {highest:g}"
            raise LabError(f"{file}, row {number}: `{field}` of `{model}` is {value!r}. Use a number {limit}")
    return values


def _tokens(file: Path, number: int, row: dict[str, Any], models: Sequence[str]) -> dict[str, float]:
    usual = USUAL_TOKENS.get(str(row.get("family")), _OTHER_TOKENS)
    return {**dict.fromkeys(models, float(usual)), **_numbers(file, number, row, "output_tokens", _MAXIMUM)}


def _answers(rows: Sequence[tuple[Path, int, dict[str, Any]]], models: Sequence[str]) -> Texts | None:
    found = [_texts(*row) for row in rows]
    if not any(found):
        return None
    texts = np.full((len(rows), len(models)), None, object)
    for at, row in enumerate(found):
        for model in row.keys() & models:
            texts[at, models.index(model)] = row[model]
    return texts


def _texts(file: Path, number: int, row: dict[str, Any]) -> dict[str, str]:
    stated = row.get("answers") or {}
    if not isinstance(stated, dict):
        raise LabError(f"{file}, row {number}: `answers` is not an object. Use an object with one text per model")
    texts = {model: text for model, text in stated.items() if text is not None}
    wrong = next((model for model, text in texts.items() if not isinstance(text, str)), None)
    if wrong is not None:
        raise LabError(f"{file}, row {number}: `answers` of `{wrong}` is {texts[wrong]!r}. Use a text")
    return texts


def _matrix(rows: Sequence[dict[str, float]], models: Sequence[str]) -> Array:
    return np.array([[row.get(model, np.nan) for model in models] for row in rows], np.float64)
