"""Runs unchanged client software against serve.sh with several targets behind it.

    clients/run [NAME…]

Each client has a virtual environment of its own, since they do not resolve into one. A client that cannot be installed
is named in a line and counts as skipped. Exit status 1 where a test fails, 2 where there is nothing to run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BIN = ROOT / ".venv" / "bin"
ENVIRONMENTS = ROOT / ".venv-clients"
READY = 60.0
AT_MOST = 180.0
"""Seconds that an installation or a run of tests may take."""
WHOLE = 900.0
"""Seconds that all of it may take; what is not begun by then is skipped."""

TARGETS = ("alpha", "beta", "modest")
MODEST: dict[str, object] = {"capabilities": ["tools"]}
"""What sets the third target apart: a request with pictures, a schema, n or logprobs never reaches it."""
ALIASES = ("gpt-6-astra", "gpt-4o-mini")
"""Model names that clients' own tests have fixed in them."""


class MissingError(Exception):
    """A client cannot be installed here; the message says why in one line."""


@dataclass(frozen=True)
class Run:
    """A command that runs tests in a folder and writes a JUnit report to what stands as REPORT in it."""

    command: list[str]
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """Counts of tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def clients() -> list[str]:
    """Every client's name."""
    return sorted(path.parent.name for kind in ("requirements.in", "package.json") for path in HERE.glob(f"*/{kind}"))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="clients/run", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"one of {', '.join(clients())}; default all")
    names = parser.parse_args(arguments).name or clients()
    if unknown := [name for name in names if name not in clients()]:
        print(f"error: no client `{unknown[0]}`; there are {', '.join(clients())}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="clients-") as folder, _upstream() as upstream:
        end = time.monotonic() + WHOLE
        total = sum((_in_time(name, upstream, Path(folder), end) for name in names), Outcome())
    print(f"\n{total}", flush=True)
    return 1 if total.failed or not total.passed + total.skipped else 0


def _in_time(name: str, upstream: str, folder: Path, end: float) -> Outcome:
    """Tries a client behind a router of its own, unless there is no time left."""
    if time.monotonic() >= end:
        print(f"\n{name}: skipped, the clients before it took {WHOLE:.0f} s", flush=True)
        return Outcome(skipped=1)
    with _router(upstream, folder) as router:
        return _try(name, router, upstream, folder)


def _try(name: str, router: str, upstream: str, folder: Path) -> Outcome:
    """Installs a client where need be and runs its tests."""
    print(f"\n== {name}", flush=True)
    begun = time.monotonic()
    try:
        runs = _node(name) if (HERE / name / "package.json").exists() else _python(name)
    except MissingError as missing:
        print(f"{name}: skipped, {missing}", flush=True)
        return Outcome(skipped=1)
    environment = _environment(router, upstream, folder / name)
    outcome = sum((_run(run, environment, folder / f"{name}.xml") for run in runs), Outcome())
    print(f"{name}: {outcome} ({time.monotonic() - begun:.0f} s)", flush=True)
    return outcome


def _run(run: Run, environment: dict[str, str], report: Path) -> Outcome:
    """Runs tests; what ends without a report, or badly for another reason than a test's, is a failure too."""
    report.unlink(missing_ok=True)
    command = [part.replace("REPORT", str(report)) for part in run.command]
    try:
        status = subprocess.run(command, cwd=run.folder, env=environment, timeout=AT_MOST, check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"stopped after {AT_MOST:.0f} s", flush=True)
        status = 1
    outcome = _read(report) if report.exists() else Outcome()
    return outcome + Outcome(failed=1) if status and not outcome.failed else outcome


def _environment(router: str, upstream: str, home: Path) -> dict[str, str]:
    """A client's environment: whatever it would ask of another machine ends at a closed port of this one."""
    home.mkdir(exist_ok=True)
    nowhere = "http://127.0.0.1:9"
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "CLIENTS_ROUTER": f"{router}/v1",
        "TEST_API_BASE_URL": f"{router}/v1",
        "CLIENTS_UPSTREAM": upstream,
        # What users of these programs set; `unused` because the router here has no keys.
        "OPENAI_BASE_URL": f"{router}/v1",
        "OPENAI_API_KEY": "unused",
        # The only things that clients would say of themselves elsewhere, or read there.
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def _read(report: Path) -> Outcome:
    """Counts the test cases of a JUnit report."""
    total = Outcome()
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            total += Outcome(failed=1)
        else:
            total += Outcome(skipped=1) if "skipped" in kinds else Outcome(passed=1)
    return total


# Clients in Python.


def _python(name: str) -> list[Run]:
    """Makes the client's virtual environment, or brings it up to date; the commands that run its tests."""
    home, wanted = ENVIRONMENTS / name, HERE / name / "requirements.txt"
    with _kept_up_to_date(home, wanted) as is_old:
        if is_old:
            _install([str(BIN / "uv"), "venv", "--quiet", "--python", str(BIN / "python"), str(home)])
            pip = [str(BIN / "uv"), "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), "--no-deps"]
            _install([*pip, "--require-hashes", "--requirement", str(wanted)])
            if theirs := _theirs(name):
                _unpack_source(theirs["package"], wanted, home / "source")
    pytest = [str(home / "bin" / "python"), "-m", "pytest"]
    runs = [Run([*pytest, "-c", str(HERE / "pytest.ini"), "."], HERE / name)]
    if theirs := _theirs(name):
        left_out = " or ".join(f"({each['tests']})" for each in theirs["left_out"])
        # Their own settings but for those that ask for a process a core.
        command = [*pytest, "-o", "addopts=", "-q", "-p", "no:cacheprovider", "-k", f"not ({left_out})", *theirs["run"]]
        runs.append(Run(command, home / "source"))
    return [Run([*run.command, "--junitxml=REPORT"], run.folder) for run in runs]


def _theirs(name: str) -> dict[str, Any]:
    """Which of the client's own tests are run."""
    path = HERE / name / "theirs.yaml"
    return dict(yaml.safe_load(path.read_text())) if path.exists() else {}


def _unpack_source(package: str, wanted: Path, source: Path) -> None:
    """The source distribution of the locked version and hash, since the tests are in no wheel."""
    block = re.search(rf"^{re.escape(package)}==.*\n(?: .*\n)*", wanted.read_text(), re.M)
    assert block is not None
    with tempfile.TemporaryDirectory() as folder:
        only = Path(folder) / "only.txt"
        only.write_text(block[0])
        pip = [str(BIN / "python"), "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        _install([*pip, "--no-binary", package, "--require-hashes", "-r", str(only), "-d", folder])
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as packed:
            packed.extractall(folder, filter="data")
        shutil.move(next(path for path in Path(folder).iterdir() if path.is_dir()), source)


@contextmanager
def _kept_up_to_date(home: Path, wanted: Path) -> Iterator[bool]:
    """Whether `home` has to be made anew from `wanted`; if so, it is empty, and stamped once it was made."""
    stamp = home / ".installed"
    fingerprint = hashlib.sha256(wanted.read_bytes() + str(home).encode()).hexdigest()
    is_old = not stamp.exists() or stamp.read_text() != fingerprint
    if is_old:
        print(f"Setting up {home.relative_to(ROOT)} …", flush=True)
        shutil.rmtree(home, ignore_errors=True)
    yield is_old
    if is_old:
        stamp.write_text(fingerprint)


def _install(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=AT_MOST)
    except subprocess.TimeoutExpired:
        raise MissingError(f"its installation took longer than {AT_MOST:.0f} s") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise MissingError(" — ".join(["it cannot be installed; is a package index reachable?", *last]))


# Clients in JavaScript.


def _node(name: str) -> list[Run]:
    """Installs the client's locked packages; the commands that run its tests."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise MissingError("node and npm are needed")
    home, lock = ENVIRONMENTS / name, HERE / name / "package-lock.json"
    with _kept_up_to_date(home, lock) as is_old:
        if is_old:
            home.mkdir(parents=True)
            for each in (lock, lock.with_name("package.json")):
                shutil.copy(each, home)
            _install([npm, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home)])
    # Modules are looked for beside the file that asks for them.
    for path in (HERE / name).glob("*.mjs"):
        shutil.copy(path, home)
    reporters = ["--test-reporter=spec", "--test-reporter-destination=stdout"]
    reporters += ["--test-reporter=junit", "--test-reporter-destination=REPORT"]
    return [Run([node, "--test", *reporters, *map(str, sorted(home.glob("*.test.mjs")))], home)]


# What the clients talk to.


@contextmanager
def _upstream() -> Iterator[str]:
    command = [str(BIN / "python"), str(HERE / "upstream.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def _router(upstream: str, folder: Path) -> Iterator[str]:
    """serve.sh with its targets; its log is shown where it does not start."""
    port, admin_port = _free_ports(2)
    targets = [_target(upstream, name) for name in TARGETS]
    configuration = {
        "router": {"base_url": f"{upstream}/router/v1", "price": {"input": 0.05, "output": 0.1}},
        "routing": {"aliases": list(ALIASES)},
        "targets": targets,
        "server": {"port": port, "admin_port": admin_port},
    }
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(configuration))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RL_ROUTER_")}
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1"
    command = ["bash", str(ROOT / "serve.sh"), "--config", str(path)]
    log = folder / "router.log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process:
        try:
            _await_health(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _target(upstream: str, name: str) -> dict[str, object]:
    price = {"input": 1 + TARGETS.index(name), "output": 4}
    return {"name": name, "base_url": f"{upstream}/{name}/v1", "price": price, **(MODEST if name == "modest" else {})}


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the router model and every target are known, so that the tests see no probes."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + READY
    while time.monotonic() < end and process.poll() is None:
        try:
            with opener.open(url.replace("/health", "/ready"), timeout=5), opener.open(url, timeout=5) as response:
                health = json.load(response)
                if all(each["state"] == "ok" for each in (health["router_model"], *health["targets"].values())):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"error: the router did not start:\n{log.read_text()[-2000:]}")


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
