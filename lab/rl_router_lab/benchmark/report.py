"""Builds the Markdown page with the table of the benchmark's results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .kept_out import FOLDS

_TITLES = {"llmrouter": "LLMRouter", "mmlu-pro": "MMLU-Pro", "zeroeval": "ZeroEval"}
_STAGES = {
    "chosen": "the stage and the memory that the training chose",
    "outcomes": "only the first stage",
    "gradient": "both stages",
}
_JUDGES = {
    "length": "the length of the answer",
    "predictor": "the predictor alone",
    "answer": "the verifier with the answer",
    "four": "the verifier with the answers of four cheap models",
    "answer_minus_predictor": "the verifier with the answer minus the predictor alone",
    "four_minus_predictor": "the verifier with the answers of four cheap models minus the predictor alone",
}
_JUDGED = {
    "auroc_within": "AUROC within task and model",
    "auroc_pooled": "AUROC over all answers",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
_WAYS = {
    "one": "one call",
    "one_by_value": "one call with one point for each V",
    "two": "the policy with at most two calls",
    "three": "the policy with at most three calls",
    "untrained": "at most three calls with the weights that the training begins with",
    "agreement": "agreement of two cheap models, then a third model",
    "thresholds": "at most three calls by thresholds of the verifier's probability",
    "three_minus_one": "the policy with at most three calls minus one call",
    "three_minus_one_by_value": "the policy with at most three calls minus one call with one point for each V",
    "two_minus_one": "the policy with at most two calls minus one call",
    "thresholds_minus_one": "thresholds minus one call",
    "three_minus_thresholds": "the policy with at most three calls minus thresholds",
    "three_minus_agreement": "the policy with at most three calls minus agreement",
}
_SEVERAL = {"aiq_gain": "AIQ gain", "quality_gain": "highest quality minus the best constant's"}
_HEADER = """\
# Results of the lab's benchmark

The command `make lab-bench` wrote this table from the JSON files in this folder, which contain all figures. Each JSON
file contains the command, the seeds, the versions of the libraries, and the hashes of the tables. `docs/learning.md`
defines the measures.

Apart from a few duplicates, the policies were tested on prompts that they were not trained on. In the rows of a table
alone and of one policy over all tables, the prompts are split into five folds, and the policy that predicts a fold was
trained on the other four. If such a row says "2 of 5 folds", only two of the folds were tested. In the rows with 200
prompts and of left-out models, at most 4 % of the test prompts have the same text as a training prompt.

In the rows of answers, the predictor and the verifier that judge a fold were trained on the other four folds. An AUROC
within task and model is the mean over all pairs of a task and a model with at least 50 answers. The four cheap models
are those with the highest mean scores in the training, apart from the model that is judged, among the models whose
prices per million tokens of input and of output add up to at most 2 US dollars. Shorter answers count as better for the
AUROC of the length. The differences are resampled in pairs.

In the rows of several turns, the predictor, the verifier, the policy and the rules that are tested on a fold were
trained and tuned on the other four folds, with cross-fitted predictions and judgements. A value is the mean over the
five folds, and the interval comes from resamples of the prompts of each fold. For each V, the rules are the best of
their kind in the training: which models they call, in which order, and the thresholds. Both models that must agree are
cheap. The policy's features and training options were chosen by cross-validation on the first fold's training prompts,
which are test prompts of the other folds, and after the test figures of the first fold had been seen for earlier
versions. So the figures of the policy of several turns may be slightly too high.

A value is the mean over the seeds, and the ends of its interval are the means of the ends of the seeds' 95 % intervals.
If only some of the seeds have a match, the column `seeds` says how many, and only these seeds count. In the rows of
left-out models, the AUROC gap of a model is its AUROC if the policy is trained on the model, minus its AUROC if the
model is left out of the training. The AUROC is computed over all tasks together, and the intervals come from resamples
of the models.

| figure | value | 95 % interval | seeds |
| --- | --- | --- | --- |
"""


def report(folder: Path) -> str:
    """Returns the Markdown page about the results in a folder. A missing result has no row."""
    found = {file.stem: json.loads(file.read_text())["result"] for file in sorted(folder.glob("*.json"))}
    return _HEADER + "".join([f"| {' | '.join(row)} |\n" for row in _rows(found)])


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yields the rows of the table: the figure, its value, its interval and the number of seeds."""
    for pool, title in _TITLES.items():
        if pool in found:
            yield from _policies(f"{title} alone{_folds(found[pool])}", found[pool]["seeds"])
            yield from _baselines(title, found[pool]["baselines"])
    for pool, figures in found.get("shared", {}).items():
        yield from _policies(f"one policy over all tables, on {_TITLES[pool]}{_folds(figures)}", figures["seeds"])
    for pool, figures in found.get("few", {}).items():
        each = [seed["aiq_gain"] for seed in figures["seeds"].values()]
        what = f"policy trained without {_TITLES[pool]}, adapted to 200 of its prompts and 4 of its models"
        yield _row(f"{what}: AIQ gain", each)
    for pool, figures in found.get("pairs", {}).items():
        each = [seed["apgr"] for seed in figures["seeds"].values()]
        name = f"choice between {figures['strong']} and {figures['weak']}"
        what = f"policy trained on {figures['labels']:,} prompts of {_TITLES[pool]}"
        yield _row(f"{name}, {what}: APGR", each, sign="")
    for count, gap in found.get("unseen", {}).get("below_trained", {}).items():
        what = f"{len(found['unseen']['by_model'])} left-out models, {count} outcomes of each"
        yield _row(f"{what}: mean AUROC gap", [gap], "")
    for name, title in (("verifier", "ZeroEval"), ("verifier-mmlu-pro", "MMLU-Pro")):
        if name in found:
            yield from _judges(f"answers of {title}{_folds(found[name])}", found[name]["seeds"])
    yield from _turns(found.get("turns", {}))
    if "speed" in found:
        speed = found["speed"]
        what = f"training on {speed['prompts']:,} prompts and {speed['models']} models with two cores"
        yield what, f"{speed['seconds']:.0f} s ({speed['processor_seconds']:.0f} s of CPU time)", "", "1"


def _folds(figures: Mapping[str, Any]) -> str:
    count: int = figures["folds"]
    return "" if count == FOLDS else f" ({count} of {FOLDS} folds)"


def _policies(what: str, seeds: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for stage, words in _STAGES.items():
        each = [figures[stage] for figures in seeds.values()]
        yield _row(f"{what}, {words}: AIQ gain", [figures["aiq_gain"] for figures in each])
        yield _row(f"{what}, {words}: match", [figures["match"] for figures in each], "", 2)
    qualities = [figures["calibration"] for figures in seeds.values()]
    yield _row(f"{what}: Brier score", [figures["brier"] for figures in qualities], "")
    yield _row(f"{what}: calibration error", [figures["calibration_error"] for figures in qualities], "")


def _judges(what: str, seeds: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for judge, words in _JUDGES.items():
        for measure, name in _JUDGED.items():
            each = [figures[judge][measure] for figures in seeds.values() if measure in figures[judge]]
            if each:
                yield _row(f"{what}, {words}: {name}", each, "+" if "minus" in judge else "")


def _turns(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for table, found in tables.items():
        what = f"several turns on the answers of {_TITLES[table]}{_folds(found)}"
        for way, words in _WAYS.items():
            for measure, name in _SEVERAL.items():
                yield _row(f"{what}, {words}: {name}", [figures[way][measure] for figures in found["seeds"].values()])


def _baselines(title: str, baselines: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, figures in baselines.items():
        yield _row(f"{title}, baseline {name.replace('_', ' ')}: AIQ gain", [figures["aiq_gain"]])


def _row(what: str, each: list[list[float | None]], sign: str = "+", digits: int = 4) -> tuple[str, str, str, str]:
    known = [figure for figure in each if figure[0] is not None]
    if not known:
        return what, "never", "", str(len(each))
    value, low, high = [
        f"{np.mean([figure[at] for figure in known if figure[at] is not None]):{sign}.{digits}f}" for at in range(3)
    ]
    count = str(len(each)) if len(known) == len(each) else f"{len(known)} of {len(each)}"
    return what, value, f"{low} to {high}", count
