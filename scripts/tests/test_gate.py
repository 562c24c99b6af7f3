"""The gate runs steps in order or in parallel and ends all of them after a failure."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gate", ROOT / ".ci" / "gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gate"] = module
    spec.loader.exec_module(module)
    return module


def shell(command: str) -> tuple[str, ...]:
    return ("bash", "-c", command)


def test_a_step_begins_after_the_steps_that_it_waits_for(gate: ModuleType, tmp_path: Path) -> None:
    planned = [
        gate.Step("first", shell(f"sleep 0.1; echo first >> {tmp_path}/order"), 1),
        gate.Step("last", shell(f"cat {tmp_path}/order"), 1, ("first", "parallel")),
        gate.Step("parallel", shell(f"echo parallel >> {tmp_path}/order"), 1),
    ]
    ended = gate.run(planned, gate.Running(), tmp_path, {})
    assert ended[-1].step.name == "last"
    assert sorted(ended[-1].output.split()) == ["first", "parallel"]


def test_the_first_failure_ends_running_steps_and_prevents_further_ones(gate: ModuleType, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    planned = [
        gate.Step("fails", shell(f"until [ -e {marker} ]; do sleep 0.05; done; echo why; exit 3"), 1),
        gate.Step(
            "runs", shell(f"trap 'echo cleaned up; exit 130' INT; : > {marker}; while :; do sleep 0.05; done"), 1
        ),
        gate.Step("never", shell("true"), 1, ("fails",)),
    ]
    ended = {step.step.name: step for step in gate.run(planned, gate.Running(), tmp_path, {})}
    assert (ended["fails"].status, ended["fails"].output) == (3, "why\n")
    assert (ended["runs"].status, ended["runs"].output) == (130, "cleaned up\n")
    assert "never" not in ended


def test_a_step_that_starts_after_a_failure_is_ended_immediately(gate: ModuleType, tmp_path: Path) -> None:
    running = gate.Running()
    running.stop()
    with (tmp_path / "output").open("wb") as output, running.start(shell("sleep 60"), {}, output) as process:
        assert process.wait(10) != 0


def test_a_step_ends_even_if_it_leaves_a_service_running(gate: ModuleType, tmp_path: Path) -> None:
    command = shell(f"(sleep 3; : > {tmp_path}/ended) & echo ready")
    (ended,) = gate.run([gate.Step("kit", command, 1)], gate.Running(), tmp_path, {})
    assert not (tmp_path / "ended").exists()
    assert (ended.status, ended.output) == (0, "ready\n")


def test_the_gate_lists_the_slowest_tests_of_all_steps(gate: ModuleType, tmp_path: Path) -> None:
    case = '<testsuite><testcase classname="tests.test_{0}" name="test_{0}" time="{1}"/></testsuite>'
    for name, seconds in (("quick", 0.5), ("slow", 61)):
        (tmp_path / f"{name}.xml").write_text(case.format(name, seconds))
    _, first, second = gate._slowest(tmp_path).splitlines()
    assert first == "  61.0 s  slow: tests.test_slow.test_slow"
    assert second.endswith("tests.test_quick.test_quick")


def test_steps_wait_only_for_existing_steps(gate: ModuleType) -> None:
    for with_kit in (True, False):
        planned = gate.steps(with_kit=with_kit)
        names = {step.name for step in planned}
        assert all(names.issuperset(step.after) for step in planned)
        assert {("make", "test"), ("make", "clients")} <= {step.command for step in planned}
