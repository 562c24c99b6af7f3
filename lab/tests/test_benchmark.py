"""The measures of `make lab-bench`, on a synthetic world instead of the public tables."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rl_router_lab.benchmark.__main__ import main
from rl_router_lab.benchmark.few import few
from rl_router_lab.benchmark.kept_out import Settings, trivial
from rl_router_lab.benchmark.report import report
from rl_router_lab.benchmark.unseen import left_out
from rl_router_lab.benchmark.verifier import answered_table, cheap_models, verified
from rl_router_lab.table import Table, joined
from rl_router_policy import embedding
from rl_router_policy.situation import Price

from fakes.outcomes.answers import with_answers
from fakes.outcomes.files import write_models, write_table
from fakes.outcomes.world import MODELS, world

SETTINGS = Settings(MODELS, embedding.load(embedding.BUNDLED), lambda _: None)


def test_a_policy_learns_from_200_prompts_of_a_table_that_was_left_out() -> None:
    first = next(few(world(600, 1).table, world(800, 2).table, [1], SETTINGS))
    gain, low, high = first["seeds"]["1"]["aiq_gain"]
    assert first["mean_aiq_gain"] == gain
    assert 0 < low <= gain <= high


def test_the_oracle_is_better_than_the_constants_and_a_random_router_is_worse() -> None:
    figures = trivial(world(300, 3).table, SETTINGS)["baselines"]
    assert figures["oracle"]["aiq_gain"][1] > 0
    assert figures["random"]["aiq_gain"][2] < 0


def test_the_verifier_is_better_than_the_predictor_on_kept_out_prompts() -> None:
    table = with_answers(world(300, 7).table, 7)
    figures = next(verified(table, [1], replace(SETTINGS, folds=2)))["seeds"]["1"]
    assert figures["answer_minus_predictor"]["auroc_pooled"][1] > 0
    assert figures["four"]["auroc_pooled"][0] > figures["answer"]["auroc_pooled"][0]
    assert set(figures["length"]) < set(figures["four"])
    assert 0 < figures["answers"] < 300 * len(table.models)


def test_the_best_cheap_models_come_first() -> None:
    table = with_answers(world(300, 7).table, 7)
    cheap = {name: replace(model, price=Price(0.1, 0.1)) for name, model in MODELS.items() if name != "large"}
    positions = cheap_models(table, np.ones(table.scores.shape, bool), {**MODELS, **cheap})
    means = table.scores.mean(axis=0)[positions]
    assert table.models.index("large") not in positions
    assert len(positions) == 4
    assert (np.diff(means) <= 0).all()


def test_the_rows_of_gsm8k_are_left_out_of_the_answers(tmp_path: Path) -> None:
    write_table(tmp_path / "x.jsonl.gz", world(3, 8).table)
    lines = gzip.decompress((tmp_path / "x.jsonl.gz").read_bytes()).decode().splitlines()
    rows = [{**json.loads(line), "task": task} for line, task in zip(lines, ("a", "ze_gsm", "b"), strict=True)]
    rows[2]["overlaps"] = ["gsm8k"]
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    answers = [{"id": row["id"], "model": "small", "answer": "7", "score": 1} for row in rows]
    (tmp_path / "x-answers.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, answers)).encode()))
    table = answered_table(tmp_path, "x")
    assert [prompt.id for prompt in table.prompts] == [rows[0]["id"]]
    assert table.answers is not None
    assert table.answers[0].tolist() == [None, None, None, None, "7"]


def test_only_models_with_enough_scores_are_left_out() -> None:
    table = world(600, 4).table
    scores = table.scores.copy()
    scores[:200, 0] = np.nan
    few_scores = Table(table.prompts, table.models, scores, table.output_tokens, table.costs)
    assert sorted(left_out(few_scores)) == sorted(table.models[1:])


def test_joined_tables_have_the_models_of_all_tables() -> None:
    one, other = world(20, 5).table, world(30, 6).table.columns(["large", "small"])
    both = joined([one, other])
    assert both.models == one.models
    assert np.isnan(both.scores[20:]).sum() == 30 * 3
    assert np.array_equal(both.columns(["large", "small"]).scores[20:], other.scores)


def test_a_figure_of_several_seeds_is_the_mean_of_the_seeds_that_reached_it(tmp_path: Path) -> None:
    stage = {"aiq_gain": [0.01, 0.0, 0.02], "match": [None, 0.9, 1.0]}
    other = {"aiq_gain": [0.03, 0.02, 0.04], "match": [0.5, 0.4, 0.6]}
    calibration = {"brier": [0.2, 0.1, 0.3], "calibration_error": [0.02, 0.01, 0.03]}
    seeds = {
        str(at): {"chosen": each, "outcomes": each, "gradient": each, "calibration": calibration}
        for at, each in enumerate((stage, other))
    }
    result = {"zeroeval": {"folds": 2, "seeds": seeds}}
    (tmp_path / "shared.json").write_text(json.dumps({"result": result}))
    lines = report(tmp_path).splitlines()
    chosen = "one policy over all tables, on ZeroEval (2 of 5 folds), the stage and the memory that the training chose"
    assert f"| {chosen}: AIQ gain | +0.0200 | +0.0100 to +0.0300 | 2 |" in lines
    assert f"| {chosen}: match | 0.50 | 0.40 to 0.60 | 1 of 2 |" in lines


def test_a_missing_table_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_models(tmp_path / "models.json")
    assert main([str(tmp_path), "--out", str(tmp_path / "results"), "--only", "llmrouter"]) == 1
    missing = tmp_path / "llmrouter.jsonl.gz"
    expected = f"error: {missing}: No such file or directory. Correct the folder DATA or --out\n"
    assert capsys.readouterr().err == expected


def test_a_folder_without_results_has_a_table_without_rows(tmp_path: Path) -> None:
    assert report(tmp_path).endswith("| --- | --- | --- | --- |\n")
