"""`rl-router lab promote` copies an artefact to a server's folder only if the guard finds the policy better."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rl_router_lab.__main__ import main
from rl_router_lab.table import prompt_of
from rl_router_policy.artefact import Artefact, load_artefact
from rl_router_policy.claims import Claim
from rl_router_policy.folder import newest_first

from fakes.outcomes.files import write_models as write_models_of_the_world
from fakes.outcomes.files import write_table
from fakes.outcomes.world import world
from fakes.policy.artefacts import EMBEDDING, write_artefact
from fakes.policy.evidence import write_outcomes

QUALITIES = {"large": 0.8, "small": 0.5}
PRICES: dict[str, Any] = {"large": {"input": 2, "output": 2}, "small": {"input": 1, "output": 1}}

Promote = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an artefact that sends digits to `small`, a table on which this is right, and the models."""
    write_artefact(tmp_path / "policy", QUALITIES, digits={"small": 3})
    write_models(tmp_path, PRICES)
    write_outcomes(tmp_path / "table.jsonl", 200)
    return tmp_path


@pytest.fixture
def promote(folder: Path) -> Promote:
    def run(table: str = "table.jsonl", *options: str, artefact: str = "policy") -> int:
        files = [f"--{name}={folder / value}" for name, value in (("artefact", artefact), ("table", table))]
        return main(["promote", *files, f"--models={folder / 'models.json'}", f"--to={folder / 'to'}", *options])

    return run


def write_models(folder: Path, prices: dict[str, Any], **served: str) -> None:
    models = {name: {"price": price, "model": served.get(name)} for name, price in prices.items()}
    (folder / "models.json").write_text(json.dumps({"models": models}))


def promoted(folder: Path) -> list[Artefact]:
    """Returns the artefacts in a server's folder, the newest first."""
    return [load_artefact(found, EMBEDDING) for found, _ in newest_first(folder / "to")]


def visible(folder: Path) -> list[str]:
    """Returns the names of the folders that a server may read."""
    return sorted(each.name for each in (folder / "to").iterdir() if each.is_dir())


def test_a_policy_that_is_better_than_each_model_is_promoted(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote() == 0
    (artefact,) = promoted(folder)
    assert artefact.claims is not None
    claim = artefact.claims.at(5)
    assert claim is not None
    assert (claim.test, len(claim.evidence.prompts), claim.evidence.names) == (1, 200, ("large", "small"))
    assert artefact.hash == load_artefact(folder / "policy", EMBEDDING).hash
    assert artefact.claims.at(50) is None
    record = json.loads((newest_first(folder / "to")[0][0] / "guard.json").read_text())["claims"][0]
    assert record["verdict"] == "proven"
    assert record["gains"]["large"][0] == pytest.approx(0.5, abs=0.1)
    assert "proven (200 prompts, test 1 of these prompts" in capsys.readouterr().out


def test_a_policy_that_is_not_better_is_not_promoted(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    write_outcomes(folder / "table.jsonl", 200, gain=False)
    assert promote() == 3
    assert visible(folder) == []
    out = capsys.readouterr().out
    assert "on average, the policy is not better than large" in out
    assert "not promoted" in out


def test_the_goals_are_tested_one_after_another_and_all_must_pass(folder: Path, promote: Promote) -> None:
    assert promote("table.jsonl", "--prefer=balanced", "--prefer=quality") == 0
    (artefact,) = promoted(folder)
    assert artefact.claims is not None
    assert [(claim.units, claim.test) for claim in artefact.claims.claims] == [(5, 1), (50, 2)]


def test_a_later_promotion_keeps_the_claims_about_other_goals(folder: Path, promote: Promote) -> None:
    assert promote() == 0
    assert promote("table.jsonl", "--prefer=quality") == 0
    newest, older = promoted(folder)
    assert newest.claims is not None
    assert older.claims is not None
    assert [claim.units for claim in newest.claims.claims] == [50, 5]
    assert newest.claims.revision == older.claims.revision + 1


def read(table: Path) -> list[dict[str, Any]]:
    """Returns the rows of a table."""
    return [json.loads(line) for line in table.read_text().splitlines()]


def keys_of(rows: list[dict[str, Any]]) -> list[str]:
    """Returns the short keys of the prompts of a table."""
    return [prompt_of(row["id"], row["prompt"], "", "").short_key for row in rows]


def claims(folder: Path) -> tuple[Claim, ...]:
    """Returns the claims of the newest artefact in a server's folder."""
    found = promoted(folder)[0].claims
    return () if found is None else found.claims


def numbers_of_tests(folder: Path) -> list[int]:
    """Returns the number of the test of each claim, the newest artefact first."""
    return [
        claim.test for artefact in promoted(folder) for claim in (artefact.claims.claims if artefact.claims else ())
    ]


def test_the_same_prompts_under_other_ids_are_the_same_prompts(folder: Path, promote: Promote) -> None:
    assert promote() == 0
    write_outcomes(folder / "again.jsonl", 150, prefix="other")
    write_outcomes(folder / "new.jsonl", 150, start=1000)
    assert promote("again.jsonl") == 0
    assert promote("new.jsonl") == 0
    assert numbers_of_tests(folder) == [1, 2, 1]


def test_a_prompt_that_is_repeated_under_other_ids_counts_once(folder: Path, promote: Promote) -> None:
    write_outcomes(folder / "once.jsonl", 20)
    rows = read(folder / "once.jsonl")
    copies = [
        {**row, "id": f"{at}-{row['id']}", "prompt": f" {row['prompt'].upper()}"} for at in range(9) for row in rows
    ]
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *copies]))
    write_outcomes(folder / "others.jsonl", 30, start=1000)
    assert promote() == 1
    assert promote("table.jsonl", f"--table={folder / 'others.jsonl'}") == 0
    assert claims(folder)[0].evidence.prompts == (*keys_of(rows), *keys_of(read(folder / "others.jsonl")))


def test_one_prompt_that_was_tested_before_makes_a_test_stricter(folder: Path, promote: Promote) -> None:
    assert promote() == 0
    write_outcomes(folder / "later.jsonl", 150, start=199)
    assert promote("later.jsonl") == 0
    assert numbers_of_tests(folder) == [2, 1]


def test_a_promotion_that_is_tried_again_and_again_gets_stricter_until_it_cannot_pass(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = []
    for number in range(23):
        write_artefact(folder / f"policy{number}", {**QUALITIES, "large": 0.8 + number / 1000}, digits={"small": 3})
        codes.append(promote(artefact=f"policy{number}"))
    assert codes == [0] * 21 + [3] * 2
    assert "test 23 of these prompts" in capsys.readouterr().out


def test_a_failed_test_counts(folder: Path, promote: Promote) -> None:
    write_artefact(folder / "worse", {"large": 0.5, "small": 0.8}, digits={"small": -3})
    assert promote(artefact="worse") == 3
    assert promote() == 0
    assert numbers_of_tests(folder) == [2]


def test_the_same_test_again_is_no_new_test(folder: Path, promote: Promote) -> None:
    assert [promote(), promote()] == [0, 0]
    assert numbers_of_tests(folder) == [1, 1]


def test_the_same_test_at_other_prices_is_a_new_test(folder: Path, promote: Promote) -> None:
    assert promote() == 0
    write_models(folder, {**PRICES, "large": {"input": 3, "output": 3}})
    assert promote() == 0
    assert numbers_of_tests(folder) == [2, 1]


def test_a_price_of_each_request_counts(folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]) -> None:
    write_models(folder, {**PRICES, "large": {**PRICES["large"], "request": 1}})
    assert promote() == 3
    assert "the policy is not better than small" in capsys.readouterr().out


def test_an_artefact_that_was_trained_on_the_prompts_is_refused(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [json.loads(line)["prompt"] for line in (folder / "table.jsonl").read_text().splitlines()]
    keys = [prompt_of("other", f" {text.upper()}  ", "", "").short_key for text in texts]
    write_artefact(folder / "trained", QUALITIES, digits={"small": 3}, trained_on=keys)
    assert promote(artefact="trained") == 1
    assert "200 of the 200 prompts have a text that the artefact was trained on" in capsys.readouterr().err
    write_artefact(folder / "half", QUALITIES, digits={"small": 3}, trained_on=keys[:120])
    assert promote(artefact="half") == 0
    assert len(promoted(folder)[0].claims.claims[0].evidence.prompts) == 80  # type: ignore[union-attr]


def test_a_model_without_an_outcome_for_half_of_the_prompts_is_named(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in (folder / "table.jsonl").read_text().splitlines()]
    for row in rows[::2]:
        del row["scores"]["large"]
    (folder / "half.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert promote("half.jsonl") == 1
    err = capsys.readouterr().err
    assert "50% of the prompts lack an outcome of a model. `large` lacks most, 100 of 200" in err
    assert visible_or_none(folder) == []


def visible_or_none(folder: Path) -> list[str]:
    return visible(folder) if (folder / "to").exists() else []


def test_a_model_that_the_artefact_does_not_know_is_refused(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    write_models(folder, {**PRICES, "new": PRICES["small"]})
    write_outcomes(folder / "new.jsonl", 100, names=("large", "new"))
    assert promote("new.jsonl") == 1
    assert "was not trained on the model `new`" in capsys.readouterr().err


def test_the_served_names_of_the_models_are_part_of_the_claim(folder: Path, promote: Promote) -> None:
    write_models(folder, PRICES, large="provider/large-2026")
    assert promote() == 0
    (artefact,) = promoted(folder)
    assert artefact.claims is not None
    names = [target.model for target in artefact.claims.claims[0].evidence.targets]
    assert names == ["provider/large-2026", "small"]


def test_with_force_an_unproven_policy_is_copied_and_the_manifest_says_so(folder: Path, promote: Promote) -> None:
    write_outcomes(folder / "table.jsonl", 200, gain=False)
    assert promote("table.jsonl", "--force") == 0
    (artefact,) = promoted(folder)
    assert artefact.manifest["forced"] is True
    record = json.loads((newest_first(folder / "to")[0][0] / "guard.json").read_text())["claims"][0]
    assert record["verdict"] == "unproven"


def test_force_leaves_a_proven_artefact_as_it_is(folder: Path, promote: Promote) -> None:
    assert promote("table.jsonl", "--force") == 0
    assert "forced" not in promoted(folder)[0].manifest


def test_two_promotions_at_once_are_two_tests(folder: Path) -> None:
    for name, quality in (("one", 0.8), ("two", 0.81)):
        write_artefact(folder / name, {**QUALITIES, "large": quality}, digits={"small": 3})
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda name: in_a_process(folder, name), ("one", "two")))
    assert codes == [0, 0]
    assert sorted(numbers_of_tests(folder)) == [1, 2]
    assert len(visible(folder)) == 2


def test_two_promotions_of_an_artefact_at_once_keep_both_claims(folder: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        goals = ("balanced", "quality")
        codes = list(pool.map(lambda goal: in_a_process(folder, "policy", f"--prefer={goal}"), goals))
    assert codes == [0, 0]
    assert {claim.units for claim in claims(folder)} == {5, 50}
    assert sorted(claim.test for claim in claims(folder)) == [1, 2]


def in_a_process(folder: Path, artefact: str, *more: str) -> int:
    files = {"artefact": artefact, "table": "table.jsonl", "models": "models.json", "to": "to"}
    options = [f"--{name}={folder / value}" for name, value in files.items()]
    command = [sys.executable, "-m", "rl_router_lab", "promote", *options, *more]
    return subprocess.run(command, check=False, capture_output=True, timeout=120).returncode


def test_a_promotion_that_fails_leaves_nothing_where_a_server_looks(folder: Path, promote: Promote) -> None:
    name = f"{load_artefact(folder / 'policy', EMBEDDING).hash[:12]}-1"
    (folder / "to" / name).mkdir(parents=True)
    (folder / "to" / name / "a file").touch()
    assert promote() == 1
    assert promoted(folder) == []
    assert visible(folder) == [name]
    assert promote() == 0
    assert numbers_of_tests(folder) == [1]


def test_the_folder_of_a_promotion_that_was_killed_is_ignored_and_removed(folder: Path, promote: Promote) -> None:
    left = folder / "to" / ".promotion.left"
    left.mkdir(parents=True)
    (left / "manifest.json").write_text("{}")
    assert promoted(folder) == []
    assert promote() == 0
    assert not left.exists()
    assert len(promoted(folder)) == 1


def test_a_target_folder_that_cannot_be_written_is_named(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "to").write_text("a file")
    assert promote() == 1
    assert f"{folder / 'to'}: " in capsys.readouterr().err


def test_a_damaged_record_of_tests_stops_the_promotion(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "to").mkdir()
    (folder / "to" / "tests.json").write_text("{")
    assert promote() == 1
    assert "tests.json: is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prefer=best"], "--prefer best: is not a goal"),
        (["--prefer=-1"], "--prefer -1: is not a goal"),
        (["--prefer=nan"], "--prefer nan: is not a goal"),
        (["--margin=2"], "--margin 2: is not between 0 and 1"),
    ],
)
def test_a_wrong_option_is_named(
    promote: Promote, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert promote("table.jsonl", *options) == 1
    assert words in capsys.readouterr().err


def test_an_artefact_is_no_folder_of_artefacts(
    folder: Path, promote: Promote, capsys: pytest.CaptureFixture[str]
) -> None:
    os.rename(write_artefact(folder / "another", QUALITIES), folder / "to")
    assert promote() == 1
    assert "is an artefact. Pass a folder that contains artefacts" in capsys.readouterr().err


def test_free_models_are_compared_without_costs(folder: Path, promote: Promote) -> None:
    write_models(folder, {name: {"input": 0, "output": 0} for name in PRICES})
    assert promote() == 0
    (artefact,) = promoted(folder)
    assert artefact.claims is not None
    assert [claim.units for claim in artefact.claims.claims] == [None]


def test_an_artefact_is_tested_on_its_own_training_table_by_refits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_models_of_the_world(tmp_path / "models.json")
    write_table(tmp_path / "base.jsonl", world(400, 1).table)
    write_table(tmp_path / "own.jsonl", world(400, 2).table)
    models = f"--models={tmp_path / 'models.json'}"
    base, own, artefact = [f"{tmp_path / name}" for name in ("base", "own.jsonl", "adapted")]
    assert main(["train", f"--table={tmp_path / 'base.jsonl'}", models, f"--out={base}"]) == 0
    assert main(["train", f"--table={own}", models, f"--base={base}", f"--out={artefact}"]) == 0
    command = ["promote", f"--artefact={artefact}", f"--table={own}", models, f"--to={tmp_path / 'to'}"]
    assert main(command) == 1
    assert main([*command, "--folds=5"]) == 1
    assert "--base: the artefact was adapted from another artefact. Pass the folder of" in capsys.readouterr().err
    assert main([*command, "--folds=5", f"--base={base}"]) in (0, 3)
    assert "of these prompts, level 0.025" in capsys.readouterr().out
    both = [*command, f"--table={tmp_path / 'base.jsonl'}"]
    assert main([*both, "--folds=5", f"--base={base}", "--force"]) == 0
    (claim,) = claims(tmp_path)
    assert (claim.evidence.folds, claim.test) == (5, 1)
    assert len(claim.evidence.prompts) > 350
    # The base was trained on the prompts of its own table, so these prompts prove nothing.
    assert not set(claim.evidence.prompts) & set(keys_of(read(tmp_path / "base.jsonl")))
