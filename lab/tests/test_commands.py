"""The commands of the lab, from outcomes to predictions, and their messages about wrong input."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from rl_router_lab.__main__ import main
from rl_router_policy.artefact import load_artefact

from fakes.outcomes.answers import with_answers
from fakes.outcomes.files import write_models, write_table
from fakes.outcomes.world import MODELS, world
from fakes.policy.artefacts import EMBEDDING


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tables, the models, and an artefact that was trained on the first table."""
    folder = tmp_path_factory.mktemp("lab")
    write_models(folder / "models.json")
    write_table(folder / "table.jsonl", world(400, 1).table)
    write_table(folder / "more.jsonl.gz", world(200, 2).table)
    assert run(folder, "train", "--table", "table.jsonl", "--out", "policy", "--seed", "3") == 0
    return folder


def run(folder: Path, command: str, *arguments: str) -> int:
    """Runs a command with the models of a folder. Arguments that name files are relative to the folder."""
    files = {"--table", "--out", "--artefact", "--base", "--json", "--models"}
    paths = [
        str(folder / value) if option in files else value
        for option, value in zip(["", *arguments], arguments, strict=False)
    ]
    models = ["--models", str(folder / "models.json")] if "--models" not in arguments else []
    return main([command, *paths, *models])


def test_an_artefact_is_evaluated_on_prompts_that_it_was_not_trained_on(folder: Path) -> None:
    tables = ("--table", "table.jsonl", "--table", "more.jsonl.gz")
    assert run(folder, "evaluate", "--artefact", "policy", *tables, "--json", "figures.json") == 0
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["trained_prompts_left_out"] >= 400
    gain, low, high = figures["aiq_gain"]
    assert 0 < low <= gain <= high
    assert figures["baselines"]["oracle"]["aiq_gain"] > gain > figures["baselines"]["random"]["aiq_gain"]
    assert set(figures["tasks"]) <= {"algebra", "code", "history", "cooking", "law"}


def test_an_artefact_is_not_evaluated_on_its_own_training_prompts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "evaluate", "--artefact", "policy", "--table", "table.jsonl") == 1
    assert "not used to train" in capsys.readouterr().err


def test_predictions_have_one_line_per_prompt(folder: Path) -> None:
    assert run(folder, "predict", "--artefact", "policy", "--table", "more.jsonl.gz", "--out", "out.jsonl") == 0
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert len(lines) == 200
    models = {"coder", "large", "mathematician", "scholar", "small"}
    for line in lines:
        assert set(line["quality"]) == set(line["preference"]) == set(line["cost"]) == models
        assert list(line["choice"]) == ["1", "2", "5", "10", "20", "50", "100"]
        assert set(line["choice"].values()) <= models


def test_if_all_models_are_free_only_the_preference_counts(folder: Path) -> None:
    free = {name: {"price": {"input": 0, "output": 0}} for name in MODELS}
    (folder / "free.json").write_text(json.dumps({"models": free}))
    models = ("--models", "free.json")
    table = ("--table", "more.jsonl.gz")
    assert run(folder, "train", *table, *models, "--out", "free") == 0
    assert "NaN" not in (folder / "free" / "manifest.json").read_text()
    assert run(folder, "predict", "--artefact", "free", *table, *models, "--out", "free.jsonl") == 0
    for line in map(json.loads, (folder / "free.jsonl").read_text().splitlines()):
        best = max(line["preference"].values())
        assert {line["preference"][chosen] for chosen in line["choice"].values()} == {best}


def test_the_manifest_names_the_rows_that_were_left_out_and_the_licences(folder: Path) -> None:
    options = ("--table", "table.jsonl", "--leave-out", "task=law", "--licence", "table.jsonl=MIT")
    assert run(folder, "train", *options, "--out", "lawless") == 0
    manifest = json.loads((folder / "lawless" / "manifest.json").read_text())
    kept = [line for line in (folder / "table.jsonl").read_text().splitlines() if json.loads(line)["task"] != "law"]
    assert manifest["left_out"] == ["task=law"]
    assert [(table["prompts"], table["licence"]) for table in manifest["tables"]] == [(len(kept), "MIT")]


def test_a_row_is_left_out_if_a_list_contains_the_value(folder: Path) -> None:
    rows = [
        {"id": str(at), "prompt": f"prompt {at}", "overlaps": ["other"] * (at % 3), "scores": {"small": at % 2}}
        for at in range(200)
    ]
    (folder / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(folder, "train", "--table", "lists.jsonl", "--leave-out", "overlaps=other", "--out", "lists") == 1
    assert run(folder, "train", "--table", "lists.jsonl", "--leave-out", "overlaps=another", "--out", "lists") == 0


def test_an_artefact_is_adapted_to_a_small_table_with_new_models(folder: Path) -> None:
    renamed = {"coder": "new-coder", "mathematician": "new-mathematician"}
    _write_renamed(folder, renamed, prompts=100)
    options = ("--table", "renamed.jsonl", "--models", "renamed.json")
    assert run(folder, "train", "--base", "policy", *options, "--out", "adapted") == 0
    manifest, base = [json.loads((folder / name / "manifest.json").read_text()) for name in ("adapted", "policy")]
    assert [target["name"] for target in manifest["targets"]] == sorted(renamed.values())
    assert set(manifest["trained_on"]) > set(base["trained_on"])
    assert (
        run(folder, "evaluate", "--artefact", "adapted", *options, "--table", "renamed-more.jsonl", "--json", "a") == 0
    )
    assert json.loads((folder / "a").read_text())["aiq_gain"][1] > 0


def test_an_artefact_is_not_adapted_to_a_handful_of_prompts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tiny.jsonl").write_text(json.dumps(ROW) + "\n")
    assert run(folder, "train", "--base", "policy", "--table", "tiny.jsonl", "--out", "tiny") == 1
    assert "Adapting needs at least 30" in capsys.readouterr().err


def _write_renamed(folder: Path, names: dict[str, str], prompts: int) -> None:
    """Writes a table of some models under other names, a second table for the tests, and the models."""
    lines = [json.loads(line) for line in gzip.decompress((folder / "more.jsonl.gz").read_bytes()).splitlines()]
    for line in lines:
        line["scores"] = {names[name]: line["scores"][name] for name in names}
        line["output_tokens"] = {names[name]: line["output_tokens"][name] for name in names}
    _write(folder / "renamed.jsonl", lines[:prompts])
    _write(folder / "renamed-more.jsonl", lines[prompts:])
    models = json.loads((folder / "models.json").read_text())["models"]
    (folder / "renamed.json").write_text(json.dumps({"models": {new: models[old] for old, new in names.items()}}))


def test_half_of_an_emoji_in_a_prompt_is_no_obstacle(folder: Path) -> None:
    rows = [
        {"id": str(at), "prompt": f"half \ud83d {at}", "scores": {"small": at % 2, "large": 1}} for at in range(100)
    ]
    (folder / "half.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(folder, "train", "--table", "half.jsonl", "--out", "half") == 0
    assert run(folder, "predict", "--artefact", "half", "--table", "half.jsonl", "--out", "half-out.jsonl") == 0


def test_an_artefact_is_never_written_over_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "train", "--table", "table.jsonl", "--out", "policy") == 1
    assert "exists already" in capsys.readouterr().err


ROW: dict[str, Any] = {"id": "1", "prompt": "hi", "scores": {"small": 1}}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": "1", "scores": {}}], "row 1: has neither a string `prompt` nor a list `messages`"),
        ([{"prompt": "hi", "scores": {}}], "row 1: lacks a string `id` or an object `scores`"),
        ([{**ROW, "scores": {"small": 1.5}}], "row 1: `scores` of `small` is 1.5. Use a number between 0 and 1"),
        ([{**ROW, "scores": {}}], "row 1: `scores` has no number"),
        ([{**ROW, "cost": 0.1}], "row 1: `cost` is not an object"),
        ([{**ROW, "answers": "hi"}], "row 1: `answers` is not an object. Use an object with one text per model"),
        ([{**ROW, "answers": {"small": 1}}], "row 1: `answers` of `small` is 1. Use a text"),
        ([{**ROW, "scores": {"small": True}}], "`scores` of `small` is True"),
        ([{**ROW, "cost": {"small": -1}}], "`cost` of `small` is -1. Use a number between 0 and 1e+09"),
        ([ROW, {**ROW, "prompt": "ho"}], "row 2: the id `1` has two prompts"),
        ([{**ROW, "scores": {"unknown": 1}}], "no price for the model `unknown`"),
        ([{"id": "1", "messages": [{"role": "system", "content": "x"}], "scores": {}}], "no message has the role"),
        ([[1]], "row 1: is not a JSON object"),
        ([ROW], "have 1 prompts. Training needs at least 100"),
        ([], "no rows in the tables"),
    ],
)
def test_the_error_about_a_wrong_table_is_one_line(
    folder: Path, rows: list[Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(folder, "train", "--table", "wrong.jsonl", "--out", "nothing") == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (folder / "nothing").exists()


@pytest.mark.parametrize("option", ["--leave-out", "--licence"])
def test_an_option_that_is_no_pair_is_rejected(folder: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "train", "--table", "table.jsonl", option, "law", "--out", "nothing") == 1
    assert f"{option} law: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("{}", 'has no object "models"'),
        ('{"models": {"small": {}}}', "`price` of the model `small` is None"),
        ('{"models": {"small": {"price": {"input": -1, "output": 1}}}}', "`price` of the model `small` is {"),
        (
            '{"models": {"small": {"price": {"input": 1, "output": 1}, "parameters_billion": "7B"}}}',
            "`parameters_billion` of the model `small` is '7B'",
        ),
        (
            '{"models": {"small": {"price": {"input": 1, "output": 1}, "benchmarks": [1]}}}',
            "`benchmarks` of the model `small` is [1]. Use an object",
        ),
    ],
)
def test_the_error_about_a_wrong_file_of_models_says_what_is_wrong(
    folder: Path, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong.json").write_text(content)
    assert run(folder, "train", "--table", "table.jsonl", "--out", "nothing", "--models", "wrong.json") == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("damaged.jsonl.gz", gzip.compress(b'{"id": "1"}' * 1_000, mtime=0)[:12] + b"\xff" * 20),
        ("cut.csv.gz", gzip.compress(b"id,prompt", mtime=0)[:12]),
        ("nested.jsonl", b"[" * 100_000),
        ("binary.csv", b"\xff\xfe"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_in_one_line(
    tmp_path: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["import", str(tmp_path / name), "--out", str(tmp_path / "table.jsonl")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name}: cannot be read" in line


@pytest.mark.parametrize("name", ["answers.csv", "answers.jsonl", "answers.parquet"])
def test_answers_are_imported_into_the_tidy_form(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"id": "1", "question": "hi", "model": "a", "score": 1, "cost": 0.1},
        {"id": "1", "question": "hi", "model": "b", "score": 0.5, "cost": 0.2},
        {"id": "2", "question": "ho", "model": "a", "score": 2, "cost": 0.2},
        {"id": "3", "question": "", "model": "a", "score": 1, "cost": 0.2},
    ]
    _write(tmp_path / name, rows)
    out = tmp_path / "table.jsonl"
    assert main(["import", str(tmp_path / name), "--column", "prompt=question", "--out", str(out)]) == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"id": "1", "prompt": "hi", "scores": {"a": 1.0, "b": 0.5}, "cost": {"a": 0.1, "b": 0.2}}
    ]
    printed = capsys.readouterr().out
    assert "left out: 1 rows with a `score`" in printed
    assert "left out: 1 rows without `prompt`" in printed


TIDY = {
    "id": "1", "prompt": "hi", "task": "t", "overlaps": ["x"], "scores": {"a": 1, "c": 0}, "output_tokens": {"a": 7},
}  # fmt: skip


def test_answers_without_prompts_are_joined_with_a_table_that_has_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path / "tidy.jsonl", [TIDY, {**TIDY, "id": "2", "prompt": "ho"}])
    answers = [
        {"id": "1", "model": "a", "answer": "x", "score": 1, "answer_chars": 1},
        {"id": "1", "model": "b", "prompt": "as sent", "answer": "y", "score": 0},
        {"id": "3", "model": "a", "answer": "z", "score": 1},
    ]
    _write(tmp_path / "answers.jsonl", answers)
    files, out = [str(tmp_path / name) for name in ("answers.jsonl", "tidy.jsonl")], tmp_path / "table.jsonl"
    assert main(["import", files[0], "--join", files[1], "--out", str(out)]) == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {
            "id": "1",
            "prompt": "hi",
            "task": "t",
            "overlaps": ["x"],
            "scores": {"a": 1.0, "b": 0.0},
            "output_tokens": {"a": 7.0},
            "answers": {"a": "x", "b": "y"},
        }
    ]
    printed = capsys.readouterr().out
    assert "1 prompts, 2 models, 2 answers with their text" in printed
    assert "left out: 1 rows whose `id` is not in the joined table" in printed


def test_a_table_gets_the_answers_of_another_file(tmp_path: Path) -> None:
    _write(tmp_path / "tidy.jsonl", [TIDY])
    _write(tmp_path / "answers.jsonl", [{"id": "1", "model": "a", "answer": "x", "score": 1}])
    tidy, answers, out = [str(tmp_path / name) for name in ("tidy.jsonl", "answers.jsonl", "table.jsonl")]
    assert main(["import", tidy, answers, "--join", tidy, "--out", out]) == 0
    assert json.loads(Path(out).read_text()) == {**TIDY, "answers": {"a": "x"}}


def test_a_joined_table_with_other_ids_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path / "tidy.jsonl", [TIDY])
    _write(tmp_path / "answers.jsonl", [{"id": "9", "model": "a", "answer": "x", "score": 1}])
    tidy, answers, out = [str(tmp_path / name) for name in ("tidy.jsonl", "answers.jsonl", "table.jsonl")]
    assert main(["import", answers, "--join", tidy, "--out", out]) == 1
    assert "contains no outcome whose `id` is in" in capsys.readouterr().err


def test_a_table_with_answers_trains_a_verifier_and_an_adapted_artefact_keeps_it(folder: Path) -> None:
    write_table(folder / "answered.jsonl", with_answers(world(300, 4).table, 4))
    assert run(folder, "train", "--table", "answered.jsonl", "--out", "judging") == 0
    assert run(folder, "train", "--table", "more.jsonl.gz", "--base", "judging", "--out", "adapted-judging") == 0
    first, second = [folder / name for name in ("judging", "adapted-judging")]
    manifests = [json.loads((each / "manifest.json").read_text()) for each in (first, second)]
    assert manifests[0]["verifier"] == manifests[1]["verifier"]
    assert manifests[0]["verifier"]["answers"] == 5 * 300
    files = [each / "verifier.safetensors" for each in (first, second)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert load_artefact(second, EMBEDDING).verifier is not None


def test_few_answers_train_no_verifier(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in (folder / "table.jsonl").read_text().splitlines()][:150]
    lines[0]["answers"] = {"small": "The answer is 7."}
    _write(folder / "few.jsonl", lines)
    assert run(folder, "train", "--table", "few.jsonl", "--out", "few") == 0
    assert "no verifier was trained, because fewer than 100 prompts have an answer" in capsys.readouterr().out
    assert not (folder / "few" / "verifier.safetensors").exists()


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    if file.suffix == ".parquet":
        import polars

        polars.DataFrame(rows, strict=False).write_parquet(file)
    elif file.suffix == ".csv":
        names = list(rows[0])
        lines = [",".join(names), *[",".join(str(row[name]) for name in names) for row in rows]]
        file.write_text("\n".join(lines) + "\n")
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
