"""The results of the benchmark in `lab/results`, and the figures that the documentation quotes from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rl_router_lab.benchmark.report import report

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "lab" / "results"


def test_the_table_of_results_shows_the_figures_of_the_result_files() -> None:
    assert (RESULTS / "README.md").read_text() == report(RESULTS)


@pytest.mark.parametrize("page", ["README.md", "docs/learning.md"])
def test_the_quoted_figures_are_rows_of_the_table_of_results(page: str) -> None:
    header = "| figure | value | 95 % interval | seeds |\n| --- | --- | --- | --- |\n"
    quoted = (ROOT / page).read_text().split(header)[1].split("\n\n")[0].splitlines()
    assert len(quoted) >= 4
    assert set(quoted) <= set((RESULTS / "README.md").read_text().splitlines())


def test_every_result_names_its_command_seeds_versions_inputs_and_time() -> None:
    files = sorted(RESULTS.glob("*.json"))
    assert files
    for file in files:
        content = json.loads(file.read_text())
        assert {"command", "seeds", "versions", "embedding", "inputs", "seconds", "result"} == set(content)
        assert file.stem in content["command"]
