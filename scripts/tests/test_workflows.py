"""The public workflows run the required checks. Their actions are pinned, and their permissions are limited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def jobs(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text())["jobs"])


def commands(job: dict[str, Any]) -> set[str]:
    """Returns the commands that a job runs, with every target of the job's matrix."""
    targets = job.get("strategy", {}).get("matrix", {}).get("target", [""])
    runs = [step["run"] for step in job["steps"] if "run" in step]
    return {run.replace("${{ matrix.target }}", target) for run in runs for target in targets}


@each_workflow
def test_every_action_is_pinned_by_a_commit_with_its_version(path: Path) -> None:
    used = [line.strip() for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.search(line)] == []


@each_workflow
def test_a_job_has_a_time_limit_and_no_permission_that_it_does_not_name(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] in ({}, {"contents": "read"})
    assert all(job["timeout-minutes"] for job in jobs(path).values())


@each_workflow
def test_a_checkout_leaves_no_credentials_to_the_code_that_it_fetches(path: Path) -> None:
    steps = [step for job in jobs(path).values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert [step for step in checkouts if step["with"]["persist-credentials"] is not False] == []


def test_the_public_tests_run_what_the_gate_runs_and_the_coverage() -> None:
    gate = re.findall(r'\("make", "(\w+)"\)', (ROOT / ".ci" / "gate.py").read_text())
    assert set(gate) == {"test", "clients", "e2e"}
    path = ROOT / ".github" / "workflows" / "test.yml"
    run = set().union(*map(commands, jobs(path).values()))
    assert run >= {f"make {target}" for target in [*gate, "coverage"]}


def test_a_skipped_test_fails_in_the_public_tests() -> None:
    path = ROOT / ".github" / "workflows" / "test.yml"
    assert yaml.safe_load(path.read_text())["env"]["FAIL_ON_SKIP"]
