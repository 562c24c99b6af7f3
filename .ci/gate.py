"""Runs the gate's steps, each as soon as those before it have ended, and tells how long they and their tests took.

Steps that mostly wait run beside each other. The output of a step is shown when it ends. The first step that fails ends
the others. Exit status 1 if a step failed.
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
"""What the kit brings: the control plane's programs, the nodes' image, metrics-server and vLLM's weights."""


@dataclass(frozen=True)
class Step:
    """A command, the steps that it waits for, and the minutes that it may take on two cores."""

    name: str
    command: tuple[str, ...]
    minutes: float
    after: tuple[str, ...] = ()


@dataclass
class Ended:
    """What came of a step: its exit status, its output, and how many seconds it took from when it began."""

    step: Step
    status: int
    output: str
    begun: float
    seconds: float


@dataclass
class Running:
    """The processes of the steps under way, each the leader of a group of its own."""

    processes: list[Process] = field(default_factory=list)
    is_stopping: bool = False

    def start(self, command: tuple[str, ...], environment: dict[str, str], output: IO[bytes]) -> Process:
        """`output` is a file, not a pipe: a pipe ends only with the last process that holds it, and a step may leave
        a service running."""
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_hear_interrupts,
        )  # fmt: skip
        self.processes.append(process)
        if self.is_stopping:
            _interrupt(process)
        return process

    def __enter__(self) -> None:
        """Whatever happens inside, nothing is left running."""

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends what still runs, as Ctrl-C would: the tests remove their clusters."""
        self.is_stopping = True
        for process in self.processes:
            _interrupt(process)


def _interrupt(process: Process) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)


def _hear_interrupts() -> None:
    """A shell's background job, and what it starts, would ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def steps(*, with_kit: bool) -> list[Step]:
    """The README's test command and unchanged clients; with the kit real clusters, too."""
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
        print(f"e2e is left out: {KIT}/up, which brings docker and kind, is not there; `make e2e` runs it with both")
    begun, running = time.monotonic(), Running()
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        ended = run(steps(with_kit=kit), running, Path(folder), WITH_KIT if kit else {})
        print(_table(ended, begun), _slowest(Path(folder)), sep="\n\n", flush=True)
    return 1 if any(each.status for each in ended) else 0


def run(planned: list[Step], running: Running, folder: Path, environment: dict[str, str]) -> list[Ended]:
    """Runs each step after those that it waits for; `folder` gets the reports of their tests. After a failure no
    further step begins."""
    waiting, ended, under_way = list(planned), list[Ended](), set[Future[Ended]]()
    with ThreadPoolExecutor(len(planned)) as threads, running:
        while waiting or under_way:
            done = {each.step.name for each in ended}
            for step in [each for each in waiting if done.issuperset(each.after)]:
                waiting.remove(step)
                under_way.add(threads.submit(_run, step, running, folder, environment))
            finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            ended += [future.result() for future in finished]
            for each in ended[-len(finished) :]:
                _show(each)
            if any(each.status for each in ended):
                waiting.clear()
                running.stop()
    return ended


def _run(step: Step, running: Running, folder: Path, environment: dict[str, str]) -> Ended:
    begun = time.monotonic()
    print(f"== {step.name}: {' '.join(step.command)} begins", flush=True)
    log = folder / f"{step.name}.log"
    with log.open("wb") as output:
        report = {"PYTEST_ADDOPTS": f"--junitxml={folder / step.name}.xml"}
        status = running.start(step.command, environment | report, output).wait()
    return Ended(step, status, log.read_text(errors="replace"), begun, time.monotonic() - begun)


def _show(ended: Ended) -> None:
    says = f"ended with {ended.status}" if ended.status else "ended well"
    print(f"\n== {ended.step.name}: {' '.join(ended.step.command)} {says}\n\n{ended.output}", flush=True)


def _table(ended: list[Ended], begun: float) -> str:
    rows = [
        f"{each.step.name:8} {(each.begun - begun) / 60:6.1f} {each.seconds / 60:8.1f} {each.step.minutes:8g}"
        for each in ended
    ]
    whole = (time.monotonic() - begun) / 60
    return "\n".join([f"{'step':8} {'begins':>6} {'minutes':>8} {'may take':>8}", *rows, f"all: {whole:.1f} minutes"])


def _slowest(folder: Path) -> str:
    """The tests that took longest, their fixtures included."""
    found = [
        (float(case.get("time", 0)), path.stem, f"{case.get('classname')}.{case.get('name')}")
        for path in folder.glob("*.xml")
        for case in ET.parse(path).iter("testcase")
    ]
    rows = [f"{seconds:6.1f} s  {step}: {name}" for seconds, step, name in sorted(found, reverse=True)[:SLOWEST]]
    return "\n".join([f"The {SLOWEST} slowest tests:", *rows])


if __name__ == "__main__":
    sys.exit(main())
