"""Measures how well the verifier judges answers to prompts that neither the verifier nor the predictor trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.predictor import Predictor
from rl_router_policy.reading import question_of, read_answer
from rl_router_policy.verifier import Answer, Expected, Verifier

from ..errors import LabError
from ..importing import imported
from ..models import Models
from ..table import Array, Table, table_of
from ..training.fit import FirstStage, fit_first_stage
from ..training.verifier import train_verifier
from ..verification import KnownAnswers, calibration_figures, figure, known_answers, order_figures
from .kept_out import Settings, fold_of

LEAVE_OUT = (("overlaps", "gsm8k"), ("task", "ze_gsm"))
"""The rows that never train what RL Router contains. The benchmark leaves them out, too."""
CHEAP, OTHERS = 2.0, 4
"""A model is cheap if its prices of a million input tokens and a million output tokens add up to at most 2 US dollars.
An answer is compared with the answers of the four best other cheap models."""
_JUDGES = ("length", "predictor", "answer", "four")


def answered_table(folder: Path, name: str) -> Table:
    """Returns a public table with all models, and with the texts of the answers that are published."""
    table, answers = folder / f"{name}.jsonl.gz", folder / f"{name}-answers.jsonl.gz"
    return table_of(imported([table, answers], {}, table).records(answers), LEAVE_OUT)


def verified(table: Table, seeds: Sequence[int], settings: Settings) -> Iterator[dict[str, Any]]:
    """Yields the figures of each judge of the table's answers. Yields the result so far after each seed.

    The prompts are split into five folds. The predictor and the verifier that judge a fold are trained on the others.
    """
    known = table.answered()
    models = [table.models[at] for at in np.where(known.any(axis=0))[0]]
    result: dict[str, Any] = {"folds": settings.folds, "models": models, "seeds": {}}
    for seed in seeds:
        rows = _judge_folds(table, known, seed, settings)
        result["seeds"][str(seed)] = _figures(rows, table)
        yield result


@dataclass(frozen=True)
class _Rows:
    """Judged answers: the positions of their prompts and models, their scores, and what each judge says of them."""

    prompts: NDArray[np.intp]
    models: NDArray[np.intp]
    scores: Array
    judges: dict[str, Array]


def _judge_folds(table: Table, known: NDArray[np.bool_], seed: int, settings: Settings) -> _Rows:
    folds = np.array([fold_of(prompt.key, seed) for prompt in table.prompts])
    parts: list[_Rows] = []
    for fold in range(settings.folds):
        training = table.rows(folds != fold)
        first = fit_first_stage(training, settings.models, settings.embedding, seed)
        trained = train_verifier(training, first, seed)
        if trained is None:
            raise LabError("the table has answers to fewer than 100 prompts. Pass a table with more answers")
        cheap = cheap_models(training, known[folds != fold], settings.models)
        tests = np.where((folds == fold) & known.any(axis=1))[0]
        judging = _Judging(table, known, first, trained.verifier, cheap, settings.models)
        parts.append(judging.rows(tests))
        settings.say(f"seed {seed}, fold {fold + 1} of {settings.folds}: {len(parts[-1].scores):,} answers")
    judges = {name: np.concatenate([part.judges[name] for part in parts]) for name in _JUDGES}
    prompts, models, scores = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("prompts", "models", "scores")
    ]
    return _Rows(prompts, models, scores, judges)


def cheap_models(table: Table, known: NDArray[np.bool_], models: Models) -> list[int]:
    """Returns the positions of the cheap models with answers, those with the highest mean scores first.

    The means are over the prompts that all models with answers answered.
    """
    answered = np.where(known.any(axis=0))[0]
    prices = {at: models[table.models[at]].price for at in answered}
    means = table.scores[known[:, answered].all(axis=1)].mean(axis=0)
    cheap = [at for at in answered if prices[at].input + prices[at].output <= CHEAP]
    return sorted(map(int, cheap), key=lambda at: (-means[at], table.models[at]))


@dataclass(frozen=True)
class _Judging:
    """What judges the answers of a fold."""

    table: Table
    known: NDArray[np.bool_]
    first: FirstStage
    verifier: Verifier
    cheap: Sequence[int]
    models: Models

    def rows(self, tests: NDArray[np.intp]) -> _Rows:
        """Returns the answers to some prompts with all judgements."""
        found: list[tuple[int, int, float, float, float, float]] = []
        for prompt in map(int, tests):
            answers = self._answers(prompt)
            for model, answer in answers.items():
                others = [answers[at] for at in self.cheap if at != model and at in answers][:OTHERS]
                alone, compared = [self.verifier.probabilities(each)[0] for each in ([answer], [answer, *others])]
                length = -float(answer.reading.characters)
                found.append((prompt, model, length, answer.expected.quality, float(alone), float(compared)))
        columns = np.array(found, np.float64).T
        prompts, models = columns[0].astype(np.intp), columns[1].astype(np.intp)
        judges = dict(zip(_JUDGES, columns[2:], strict=True))
        return _Rows(prompts, models, self.table.scores[prompts, models], judges)

    def _answers(self, prompt: int) -> dict[int, Answer]:
        """Returns the answers to a prompt by the position of the model."""
        assert self.table.answers is not None  # noqa: S101 (the caller checks that the table has answers)
        models = [int(at) for at in np.where(self.known[prompt])[0]]
        question = question_of(self.table.prompts[prompt].text)
        texts = self.table.answers[prompt, models]
        readings = [read_answer(question, text) for text in texts]
        columns = zip(models, readings, self._expected(prompt, models), strict=True)
        return {at: Answer(reading, expected) for at, reading, expected in columns}

    def _expected(self, prompt: int, models: Sequence[int]) -> list[Expected]:
        predictor: Predictor = self.first.predictor
        row = self.table.prompts[prompt]
        names = [(self.table.models[at], self.models[self.table.models[at]].profile) for at in models]
        predicted = predictor.predict(row.text, row.context, names)
        strengths = self.first.mean_qualities[list(models)]
        return [
            Expected(each.quality, float(strength), each.output_tokens)
            for each, strength in zip(predicted, strengths, strict=True)
        ]


def _figures(rows: _Rows, table: Table) -> dict[str, Any]:
    tasks = np.unique([prompt.task for prompt in table.prompts], return_inverse=True)[1]
    groups = tasks[rows.prompts] * len(table.models) + rows.models
    answers = known_answers(rows.scores, rows.prompts, groups)
    found = {name: _resampled(answers, name, predicted) for name, predicted in rows.judges.items()}
    figures: dict[str, Any] = {"prompts": answers.counts.shape[1], "answers": len(rows.scores)}
    for name, measures in found.items():
        figures[name] = {measure: figure(values).as_json() for measure, values in measures.items()}
    for name in ("answer", "four"):
        differences = {measure: values - found["predictor"][measure] for measure, values in found[name].items()}
        figures[f"{name}_minus_predictor"] = {
            measure: figure(values).as_json() for measure, values in differences.items()
        }
    return figures


def _resampled(answers: KnownAnswers, name: str, predicted: Array) -> dict[str, Array]:
    """Returns the measures of a judge. A length is not a probability, so it has no calibration."""
    order = order_figures(answers, predicted)
    return order if name == "length" else {**order, **calibration_figures(answers, predicted)}
