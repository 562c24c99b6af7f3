"""Writes the table of a calibration, and the file with the prices and profiles of the targets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rl_router_api.accounting.money import FREE
from rl_router_api.config import Target
from rl_router_policy.catalogue import parameters_of

from ..records import write_records
from .calibration import Calibration
from .prompts import Question


def write_table(file: Path, calibration: Calibration, questions: Sequence[Question]) -> int:
    """Writes the graded prompts in the tidy form, in the order of their ids. Returns the number of prompts.

    Writes no table without prompts.
    """
    rows = list(_rows(calibration, sorted(questions, key=lambda question: question.id)))
    if rows:
        write_records(file, rows)
    return len(rows)


def _rows(calibration: Calibration, questions: Sequence[Question]) -> Iterator[dict[str, Any]]:
    for question in questions:
        answers, scores = calibration.answers(question), calibration.scores(question)
        if scores:
            yield {
                **question.row,
                "scores": scores,
                "output_tokens": {name: record["output_tokens"] for name, record in answers.items()},
                "cost": {name: float(record["cost"]) for name, record in answers.items()},
                "answers": {name: record["text"] for name, record in answers.items()},
            }


def write_models(file: Path, targets: Sequence[Target]) -> None:
    """Writes the prices and profiles of the targets in the form that the option `--models` of other commands reads."""
    models = {target.name: _model(target) for target in targets}
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps({"models": models}, indent=1) + "\n")
    partial.rename(file)


def _model(target: Target) -> dict[str, Any]:
    price, profile = target.price or FREE, target.profile
    size = profile.parameters_billion if profile else None
    return {
        "model": target.upstream_model,
        "price": {"input": float(price.input), "output": float(price.output), "request": float(price.request)},
        "parameters_billion": size or parameters_of(target.upstream_model),
        "benchmarks": dict(profile.benchmarks) if profile else {},
    }
