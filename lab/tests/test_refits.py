"""A policy that is trained again on parts of its table predicts only prompts that it was not trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rl_router_lab.__main__ import main
from rl_router_lab.predictions import Predictions, joined
from rl_router_lab.refits import parts_of
from rl_router_lab.table import Table, prompt_of

from fakes.outcomes.files import write_models, write_table
from fakes.outcomes.world import world
from fakes.policy.artefacts import write_artefact


def table(*texts: str) -> Table:
    unknown = np.full((len(texts), 1), np.nan)
    prompts = tuple([prompt_of(str(at), text, "", "") for at, text in enumerate(texts)])
    return Table(prompts, ("alpha",), unknown, unknown, unknown)


def test_equal_texts_under_other_ids_are_in_the_same_part() -> None:
    parts = parts_of(table(*[f"prompt {at}" for at in range(20)], *[f"PROMPT  {at}" for at in range(20)]), 5)
    assert parts[:20].tolist() == parts[20:].tolist()
    assert np.bincount(parts).tolist() == [8] * 5


def test_the_predictions_of_parts_are_joined_in_order() -> None:
    parts = [Predictions(*[np.full((2, 1), at + number) for number in (0.0, 10.0, 20.0)]) for at in range(2)]
    whole = joined(parts)
    assert whole.qualities.ravel().tolist() == [0, 0, 1, 1]
    assert whole.preferences.ravel().tolist() == [10, 10, 11, 11]
    assert whole.costs.ravel().tolist() == [20, 20, 21, 21]


def test_an_artefact_is_measured_on_its_own_training_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_models(tmp_path / "models.json")
    write_table(tmp_path / "own.jsonl", world(300, 1).table)
    write_table(tmp_path / "others.jsonl", world(100, 2).table)
    files = [f"--table={tmp_path / 'own.jsonl'}", f"--models={tmp_path / 'models.json'}"]
    policy = f"--artefact={tmp_path / 'policy'}"
    assert main(["train", *files, f"--out={tmp_path / 'policy'}"]) == 0
    assert main(["evaluate", policy, *files]) == 1
    assert "or test the artefact on its own training table with --folds 5" in capsys.readouterr().err
    both = [*files, f"--table={tmp_path / 'others.jsonl'}"]
    assert main(["evaluate", policy, *both, "--folds=5", f"--json={tmp_path / 'figures.json'}"]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["prompts"], figures["folds"], figures["trained_prompts_left_out"]) == (300, 5, 0)
    # A policy that had seen the outcomes of a prompt would predict them better than from the words of the prompt.
    assert 0.6 < figures["auroc"] < 0.9
    assert figures["aiq_gain"][1] > 0


@pytest.mark.parametrize("command", ["evaluate", "report", "promote"])
def test_a_wrong_number_of_folds_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    write_artefact(tmp_path / "policy", {"large": 0.9, "small": 0.5})
    files = [f"--{name}={tmp_path / name}" for name in ("table", "models")]
    target = {"report": [f"--out={tmp_path / 'page.html'}"], "promote": [f"--to={tmp_path / 'to'}"]}.get(command, [])
    (tmp_path / "models").write_text('{"models": {"large": {"price": {"input": 1, "output": 1}}}}')
    (tmp_path / "table").write_text('{"id": "1", "prompt": "a", "scores": {"large": 1}}\n')
    assert main([command, f"--artefact={tmp_path / 'policy'}", *files, *target, "--folds=1"]) == 1
    assert "--folds 1: is not from 2 to 20. Use --folds 5" in capsys.readouterr().err
