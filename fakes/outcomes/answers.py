"""Writes answers for known scores. All right answers to a prompt end in the same number, and wrong ones in another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rl_router_lab.table import Table

_MAX_DOUBTS = 4
_WRONG = 6


def with_answers(table: Table, seed: int) -> Table:
    """Returns the table with an answer for each score. On average, wrong answers contain `Perhaps` more often."""
    random = np.random.default_rng(seed)
    answers = np.full(table.scores.shape, None, object)
    for at, scores in enumerate(table.scores):
        truth = int(random.integers(1_000, 9_000))
        for model, score in enumerate(scores):
            wrong = int(score < 0.5)
            value = truth + wrong * int(random.integers(1, _WRONG))
            doubts = "Perhaps. " * int(random.integers(0, _MAX_DOUBTS) + random.integers(0, 4 * wrong + 1))
            answers[at, model] = f'{{"reasoning": "{doubts}It follows.", "answer": "{value}"}}'
    return replace(table, answers=answers)
