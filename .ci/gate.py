"""Runs the gate, which tests the project, and prints the times of the gate's steps and the slowest tests.

A step begins when all steps in the step's attribute `after` have succeeded. Independent steps run in parallel. The
output of a step is printed when the step ends. If a step fails, the running steps are stopped and no other step begins.
The exit status is 1 if a step failed, and otherwise 0.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

Process: TypeAlias = "subprocess.Popen[bytes]"

ROOT = Path(__file__).resolve().parents[1]
KIT = ROOT.parent / "shared" / "kind"
CACHE = Path.home() / ".cache" / "kind-kit"
SLOWEST = 25
WITH_KIT = {
    "KUBEBUILDER_ASSETS": str(CACHE / "bin"),
    "KIND_NODE_IMAGE": "kindest/node:v1.35.4",
    "E2E_MANIFESTS": str(KIT / "addons" / "metrics-server.yaml"),
    "E2E_WEIGHTS": str(CACHE / "models"),
}
"""Environment variables for the tests: the folder of the control plane's programs, the image of kind's nodes, the
manifest of metrics-server, and the folder of the weights for vLLM."""


@dataclass(frozen=True)
class Step:
    """A step of the gate.

    A step has a command and the names of the steps that must succeed before the step begins. The attribute
    `max_minutes` is the intended maximum duration on two CPU cores. The gate prints `max_minutes`, but does not stop a
    slower step.
    """

    name: str
    command: tuple[str, ...]
    max_minutes: float
    after: tuple[str, ...] = ()


@dataclass
class Result:
    """The result of a step.

    The attribute `start` is the time on the monotonic clock at which the step began. The attribute `seconds` is the
    duration of the step.
    """

    step: Step
    status: int
    output: str
    start: float
    seconds: float


@dataclass
class Running:
    """The processes of the steps. The process of each step has its own process group."""

    processes: list[Process] = field(default_factory=list)
    is_stopping: bool = False

    def start(self, command: tuple[str, ...], environment: dict[str, str], output: IO[bytes]) -> Process:
        """Starts the process of a step, and interrupts the process at once if `stop` was called before.

        The process writes to the file `output`, because a service that a step leaves running would keep a pipe open.
        """
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_enable_interrupts,
        )  # fmt: skip
        self.processes.append(process)
        if self.is_stopping:
            _interrupt(process)
        return process

    def __enter__(self) -> None:
        """Enters a `with` block. All processes are stopped at the end of the `with` block."""

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Sends SIGINT to all running and later processes, as Ctrl-C does, so that the tests remove their clusters."""
        self.is_stopping = True
        for process in self.processes:
            _interrupt(process)


def _interrupt(process: Process) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)


def _enable_interrupts() -> None:
    """Restores the default action of SIGINT, because a shell script makes background processes ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def steps(*, with_kit: bool) -> list[Step]:
    """Returns the steps of the gate.

    If `with_kit` is true, the steps include the end-to-end tests and the steps that prepare the end-to-end tests.
    """
    if not with_kit:
        return [Step("test", ("make", "test"), 11), Step("clients", ("make", "clients"), 3, ("test",))]
    return [
        Step("kit", (str(KIT / "up"),), 3),
        Step("test", ("make", "test"), 11, ("kit",)),
        Step("vllm", (str(KIT / "vllm" / "make"),), 5, ("kit",)),
        Step("clients", ("make", "clients"), 3, ("test",)),
        Step("e2e", ("make", "e2e"), 19, ("test", "vllm")),
    ]


def main() -> int:
    kit = (KIT / "up").exists()
    if not kit:
        print(
            f"The end-to-end tests are skipped: {KIT}/up, which installs docker, kind, kubectl and helm, does "
            "not exist. Install these four programs, and run `make e2e`"
        )
    start, running = time.monotonic(), Running()
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        results = run(steps(with_kit=kit), running, Path(folder), WITH_KIT if kit else {})
        print(_table(results, start), _slowest(Path(folder)), sep="\n\n", flush=True)
    return 1 if any(result.status for result in results) else 0


def run(planned: list[Step], running: Running, folder: Path, environment: dict[str, str]) -> list[Result]:
    """Runs each step of `planned` when the steps in the step's attribute `after` have succeeded.

    Returns the results of the steps that began. The folder `folder` gets the output of each step, and the test reports
    of the steps `test` and `e2e`.

    If a step fails, the running steps are stopped and no other step begins.
    """
    waiting, results, active = list(planned), list[Result](), set[Future[Result]]()
    with ThreadPoolExecutor(len(planned)) as threads, running:
        while waiting or active:
            done = {result.step.name for result in results}
            for step in [step for step in waiting if done.issuperset(step.after)]:
                waiting.remove(step)
                active.add(threads.submit(_run, step, running, folder, environment))
            finished, active = wait(active, return_when=FIRST_COMPLETED)
            results += [future.result() for future in finished]
            for result in results[-len(finished) :]:
                _show(result)
            if any(result.status for result in results):
                waiting.clear()
                running.stop()
    return results


def _run(step: Step, running: Running, folder: Path, environment: dict[str, str]) -> Result:
    start = time.monotonic()
    print(f"== {step.name}: {' '.join(step.command)} begins", flush=True)
    log = folder / f"{step.name}.log"
    with log.open("wb") as output:
        report = {"PYTEST_ADDOPTS": f"--junitxml={folder / step.name}.xml"}
        status = running.start(step.command, environment | report, output).wait()
    return Result(step, status, log.read_text(errors="replace"), start, time.monotonic() - start)


def _show(result: Result) -> None:
    outcome = f"failed with exit status {result.status}" if result.status else "succeeded"
    print(f"\n== {result.step.name}: {' '.join(result.step.command)} {outcome}\n\n{result.output}", flush=True)


def _table(results: list[Result], start: float) -> str:
    rows = [
        f"{result.step.name:8} {(result.start - start) / 60:6.1f} {result.seconds / 60:8.1f} "
        f"{result.step.max_minutes:8g}"
        for result in results
    ]
    total = (time.monotonic() - start) / 60
    return "\n".join([f"{'step':8} {'begins':>6} {'minutes':>8} {'maximum':>8}", *rows, f"all: {total:.1f} minutes"])


def _slowest(folder: Path) -> str:
    """Returns a text that lists the slowest tests in the test reports in `folder`.

    The time of a test includes the time of the test's fixtures.
    """
    cases = [
        (float(case.get("time", 0)), path.stem, f"{case.get('classname')}.{case.get('name')}")
        for path in folder.glob("*.xml")
        for case in ET.parse(path).iter("testcase")
    ]
    rows = [f"{seconds:6.1f} s  {step}: {name}" for seconds, step, name in sorted(cases, reverse=True)[:SLOWEST]]
    return "\n".join([f"The {SLOWEST} slowest tests:", *rows])


if __name__ == "__main__":
    sys.exit(main())
