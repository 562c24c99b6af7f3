"""Runs unchanged client software against serve.sh with several targets behind it.

    clients/run [NAME…]

Each client has its own environment, because the clients' dependencies conflict. Each client also has its own router and
upstreams, so that several clients are tested in parallel. A client that cannot be installed is reported in one line and
counts as skipped, or as failed if FAIL_ON_SKIP is set. The exit status is 1 if a test fails, and 2 if a client is
unknown or the cache of environments cannot be written.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

import environments
from cache import Cache, CacheError, cache_folder
from environments import BIN, HERE, MAX_SECONDS, MissingError, clients
from processes import Processes

ROOT = HERE.parent
READY_SECONDS = 60.0
"""Maximum seconds until a router is ready."""
TOTAL_SECONDS = 900.0
"""The seconds after the start of a run after which clients whose tests have not begun are skipped."""

PARALLEL = 3
"""The number of clients that are tested in parallel. Three clients use about two cores, because every client
also waits."""
PORTS = itertools.count(random.randrange(20_000, 32_000))
"""The ports of the routers, which are below the system's ephemeral ports. No port is used twice in a run."""

TARGETS = ("alpha", "beta", "modest")
MODEST: dict[str, object] = {"capabilities": ["tools"]}
"""Fields of the third target, which supports only tools. Requests with pictures, a schema, n or logprobs must not
reach it."""
ALIASES = ("gpt-6-astra", "gpt-4o-mini")
"""Model names that are hard-coded in the clients' own tests."""


class RouterError(Exception):
    """A router that did not start. The message ends with the router's log."""


@dataclass(frozen=True)
class Run:
    """A command that runs tests in a folder.

    The text `REPORT` in the command is replaced by the path of the command's JUnit report.
    """

    command: list[str]
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """The numbers of passed, failed and skipped tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True)
class Trial:
    """The test run of one client. `folder` is its temporary folder. All clients share the cache and the processes."""

    name: str
    folder: Path
    cache: Cache
    processes: Processes

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def log(self, line: str) -> None:
        with self.output.open("a") as output:
            output.write(f"{line}\n")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="clients/run", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"one of {', '.join(clients())}; default all")
    names = parser.parse_args(arguments).name or clients()
    if unknown := [name for name in names if name not in clients()]:
        print(f"error: unknown client `{unknown[0]}`. Use one of {', '.join(clients())}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cache = Cache(cache_folder(os.environ))
    try:
        cache.require_writable()
    except CacheError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    total = _test_all(list(dict.fromkeys(names)), cache)
    environments.remove_stale(cache)
    print(f"\n{total}", flush=True)
    return 1 if total.failed or not total.passed + total.skipped else 0


def _test_all(names: list[str], cache: Cache) -> Outcome:
    """Tests several clients in parallel, and prints the output of each client when its tests have finished."""
    end, total = time.monotonic() + TOTAL_SECONDS, Outcome()
    with (
        tempfile.TemporaryDirectory(prefix="clients-") as folder,
        ThreadPoolExecutor(PARALLEL) as pool,
        Processes() as processes,
    ):
        trials = [Trial(name, Path(folder) / name, cache, processes) for name in names]
        futures = {pool.submit(_test_within_time_limit, trial, end): trial for trial in trials}
        for future in as_completed(futures):
            total += future.result()
            print(
                f"\n== {futures[future].name}\n{futures[future].output.read_text(errors='replace')}", end="", flush=True
            )
    return total


def _test_within_time_limit(trial: Trial, end: float) -> Outcome:
    """Tests a client, or skips it if the time limit `end` has passed."""
    trial.folder.mkdir()
    if time.monotonic() >= end:
        return _skip(trial, f"the earlier clients took longer than {TOTAL_SECONDS:.0f} s")
    try:
        return _test(trial)
    except MissingError as missing:
        return _skip(trial, str(missing))
    except RouterError as error:
        trial.log(f"{trial.name}: {error}")
        return Outcome(failed=1)


def _skip(trial: Trial, reason: str) -> Outcome:
    """Logs the reason why a client was not tested. Counts it as skipped, or as failed if FAIL_ON_SKIP is set."""
    if os.environ.get("FAIL_ON_SKIP"):
        trial.log(f"{trial.name}: failed because FAIL_ON_SKIP is set: {reason}")
        return Outcome(failed=1)
    trial.log(f"{trial.name}: skipped, {reason}")
    return Outcome(skipped=1)


def _test(trial: Trial) -> Outcome:
    """Installs a client, if the cache does not contain the client, and runs the client's tests against a new router."""
    start = time.monotonic()
    home = environments.ensure(trial.name, trial.cache, trial.processes)
    installed = time.monotonic()
    runs = _node(trial, home) if environments.is_node(trial.name) else _python(trial.name, home)
    with _upstream(trial) as upstream, _router(trial, upstream) as router:
        environment = _environment(router, upstream, trial.folder / "home")
        outcome = sum((_run(run, environment, trial) for run in runs), Outcome())
    durations = f"installation {installed - start:.0f} s, tests {time.monotonic() - installed:.0f} s"
    trial.log(f"{trial.name}: {outcome} ({durations})")
    return outcome


def _run(run: Run, environment: dict[str, str], trial: Trial) -> Outcome:
    """Runs tests and returns their counts. A nonzero exit status without a failed test counts as a failure."""
    report = trial.folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [part.replace("REPORT", str(report)) for part in run.command]
    with (
        trial.output.open("a") as output,
        trial.processes.started(command, cwd=run.folder, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            status = process.wait(MAX_SECONDS)
        except subprocess.TimeoutExpired:
            trial.log(f"stopped after {MAX_SECONDS:.0f} s")
            status = 1
    outcome = _read(report) if report.exists() else Outcome()
    return outcome + Outcome(failed=1) if status and not outcome.failed else outcome


def _environment(router: str, upstream: str, home: Path) -> dict[str, str]:
    """Returns a client's environment variables.

    The variables send requests for other machines to a closed port of this machine.
    """
    home.mkdir(exist_ok=True)
    closed_port = "http://127.0.0.1:9"
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "HTTP_PROXY": closed_port,
        "HTTPS_PROXY": closed_port,
        "http_proxy": closed_port,
        "https_proxy": closed_port,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "CLIENTS_ROUTER": f"{router}/v1",
        "TEST_API_BASE_URL": f"{router}/v1",
        "CLIENTS_UPSTREAM": upstream,
        # Users of the clients set these variables. The key is arbitrary, because this router requires no keys.
        "OPENAI_BASE_URL": f"{router}/v1",
        "OPENAI_API_KEY": "unused",
        # Without these variables, the clients send traces to other machines or read prices from them.
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def _read(report: Path) -> Outcome:
    """Returns the counts of a JUnit report."""
    total = Outcome()
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            total += Outcome(failed=1)
        else:
            total += Outcome(skipped=1) if "skipped" in kinds else Outcome(passed=1)
    return total


# Functions that return the commands of a client's tests.


def _python(name: str, home: Path) -> list[Run]:
    pytest = [str(home / "bin" / "python"), "-m", "pytest"]
    runs = [Run([*pytest, "-c", str(HERE / "pytest.ini"), "."], HERE / name)]
    if own := environments.own_tests(name):
        excluded = " or ".join(f"({entry['tests']})" for entry in own["excluded"])
        # The empty addopts replaces the client's own addopts, which start one process per core.
        command = [*pytest, "-o", "addopts=", "-q", "-p", "no:cacheprovider", "-k", f"not ({excluded})", *own["run"]]
        runs.append(Run(command, home / "source"))
    return [Run([*run.command, "--junitxml=REPORT"], run.folder) for run in runs]


def _node(trial: Trial, home: Path) -> list[Run]:
    # Node looks for modules beside the importing file, so the tests are copied to a folder with a link to the packages.
    tests = trial.folder / "tests"
    tests.mkdir()
    (tests / "node_modules").symlink_to(home / "node_modules")
    for path in (HERE / trial.name).glob("*.mjs"):
        shutil.copy(path, tests)
    reporters = ["--test-reporter=spec", "--test-reporter-destination=stdout"]
    reporters += ["--test-reporter=junit", "--test-reporter-destination=REPORT"]
    return [Run(["node", "--test", *reporters, *map(str, sorted(tests.glob("*.test.mjs")))], tests)]


# Functions that start the servers of a client's tests.


@contextmanager
def _upstream(trial: Trial) -> Iterator[str]:
    command = [str(BIN / "python"), str(HERE / "upstream.py")]
    with (
        trial.output.open("a") as output,
        trial.processes.started(command, stdout=subprocess.PIPE, stderr=output) as process,
    ):
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@contextmanager
def _router(trial: Trial, upstream: str) -> Iterator[str]:
    """Starts serve.sh with three targets and yields the router's URL."""
    port, admin_port = _free_port(), _free_port()
    configuration = {
        "router": {"base_url": f"{upstream}/router/v1", "price": {"input": 0.05, "output": 0.1}},
        "routing": {"aliases": list(ALIASES)},
        "targets": [_target(upstream, name) for name in TARGETS],
        "server": {"port": port, "admin_port": admin_port},
    }
    path, log = trial.folder / "router.yaml", trial.folder / "router.log"
    path.write_text(yaml.safe_dump(configuration))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RL_ROUTER_")}
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1"
    command = ["bash", str(ROOT / "serve.sh"), "--config", str(path)]
    with (
        log.open("w") as output,
        trial.processes.started(command, stdout=output, stderr=output, env=environment) as process,
    ):
        if not _becomes_ready(f"http://127.0.0.1:{port}", process, trial.processes):
            raise RouterError(f"the router did not start:\n{log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"


def _target(upstream: str, name: str) -> dict[str, object]:
    price = {"input": 1 + TARGETS.index(name), "output": 4}
    return {"name": name, "base_url": f"{upstream}/{name}/v1", "price": price, **(MODEST if name == "modest" else {})}


def _becomes_ready(router: str, process: subprocess.Popen[str], processes: Processes) -> bool:
    """Waits until the router has probed its upstreams, so that the tests do not count the probes as requests."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if _is_ready(router):
            return True
        processes.pause(0.1)
    return False


def _is_ready(router: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{router}/ready", timeout=5), opener.open(f"{router}/health", timeout=5) as response:
            health = json.load(response)
    except OSError:
        return False
    return all(entry["state"] == "ok" for entry in (health["router_model"], *health["targets"].values()))


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            port = next(PORTS)
            if probe.connect_ex(("127.0.0.1", port)):
                return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
