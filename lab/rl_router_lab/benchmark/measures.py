"""The measures of the benchmark by name. Each yields its result after each part, so an interruption loses little."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..table import joined
from ..training.fit import fit
from . import pools
from .few import few
from .kept_out import Settings, cross_validated, trivial
from .pairs import PAIRS, pair_figures
from .turns import several_turns
from .unseen import unseen
from .verifier import answered_table, verified

Result = dict[str, Any]
_SPEED_PROMPTS, _SPEED_MODELS = 6_000, 9
_TABLES = ("llmrouter", "mmlu-pro", "zeroeval")


@dataclass(frozen=True)
class Measure:
    """A function that yields the result of the measure after each part.

    The attribute `seeds` contains the seeds that are used by default, and `tables` the tables that the function reads.
    """

    run: Callable[[Path, Sequence[int], Settings], Iterator[Result]]
    seeds: tuple[int, ...] = (1, 2, 3)
    tables: tuple[str, ...] = _TABLES


def _alone(pool: str, data: Path, seeds: Sequence[int], settings: Settings) -> Iterator[Result]:
    table = pools.pool_table(data, pool)
    result: Result = {**trivial(table, settings), "folds": settings.folds, "seeds": {}}
    for seed in seeds:
        result["seeds"][str(seed)] = cross_validated([table], seed, settings)[0]
        yield result


def _shared(data: Path, seeds: Sequence[int], settings: Settings) -> Iterator[Result]:
    tables = [pools.pool_table(data, name) for name in pools.POOLS]
    result: Result = {name: {"folds": settings.folds, "seeds": {}} for name in pools.POOLS}
    for seed in seeds:
        for name, figures in zip(pools.POOLS, cross_validated(tables, seed, settings), strict=True):
            result[name]["seeds"][str(seed)] = figures
        yield result


def _unseen(data: Path, seeds: Sequence[int], settings: Settings) -> Iterator[Result]:
    yield from unseen(joined([pools.whole_table(data, name) for name in pools.POOLS]), seeds[0], settings)


def _few(data: Path, seeds: Sequence[int], settings: Settings) -> Iterator[Result]:
    result: Result = {}
    for left_out in pools.POOLS:
        others = joined([pools.whole_table(data, name) for name in pools.POOLS if name != left_out])
        for figures in few(others, pools.pool_table(data, left_out), seeds, settings):
            yield result | {left_out: figures}
            result[left_out] = figures


def _pairs(data: Path, seeds: Sequence[int], settings: Settings) -> Iterator[Result]:
    result: Result = {}
    for pair in PAIRS:
        table = pools.pool_table(data, pair.table)
        figures = {str(seed): pair_figures(pair, table, seed, settings) for seed in seeds}
        mean = round(float(np.mean([each["apgr"][0] for each in figures.values()])), 4)
        names = {"strong": pair.strong, "weak": pair.weak, "labels": pair.labels}
        result[pair.table] = {**names, "mean_apgr": mean, "seeds": figures}
        yield result


def _verifier(name: str, data: Path, seeds: Sequence[int], settings: Settings) -> Iterator[Result]:
    yield from verified(answered_table(data, name), seeds, settings)


def _turns(data: Path, seeds: Sequence[int], settings: Settings) -> Iterator[Result]:
    result: Result = {}
    for name in ("zeroeval", "mmlu-pro"):
        for figures in several_turns(answered_table(data, name), seeds, settings):
            yield result | {name: figures}
            result[name] = figures


def _speed(data: Path, seeds: Sequence[int], settings: Settings) -> Iterator[Result]:
    table = pools.pool_table(data, "mmlu-pro")
    table = table.rows(np.arange(_SPEED_PROMPTS)).columns(table.models[:_SPEED_MODELS])
    wall, processor = time.monotonic(), time.process_time()
    fit(table, settings.models, settings.embedding, seeds[0], lambda *_: None)
    yield {
        "prompts": _SPEED_PROMPTS,
        "models": _SPEED_MODELS,
        "seconds": round(time.monotonic() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }


MEASURES = {
    **{name: Measure(partial(_alone, name)) for name in pools.POOLS},
    "shared": Measure(_shared),
    "few": Measure(_few, seeds=(1, 2, 3, 4, 5)),
    "pairs": Measure(_pairs),
    "speed": Measure(_speed, seeds=(1,)),
    "unseen": Measure(_unseen, seeds=(1,)),
    "verifier": Measure(partial(_verifier, "zeroeval"), (1,), ("zeroeval", "zeroeval-answers")),
    "turns": Measure(_turns, (1,), ("zeroeval", "zeroeval-answers", "mmlu-pro", "mmlu-pro-answers")),
    "verifier-mmlu-pro": Measure(partial(_verifier, "mmlu-pro"), (1,), ("mmlu-pro", "mmlu-pro-answers")),
}
