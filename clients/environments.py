"""Installs the environment of each client: a virtual environment, or a folder of npm packages."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cache import BusyError, Cache
from processes import Processes

HERE = Path(__file__).resolve().parent
BIN = HERE.parent / ".venv" / "bin"
MAX_SECONDS = 180.0
"""Maximum seconds of an installation or of a test run."""

Run = Callable[[list[str]], None]
"""A function that runs a command of an installation. It raises MissingError if the command fails."""


class MissingError(Exception):
    """A client that cannot be installed on this machine. The message is one line with the reason."""


@dataclass(frozen=True)
class Recipe:
    """The installation of an environment. `inputs` determine the environment, so their hash is its cache key."""

    inputs: list[bytes]
    install: Callable[[Path, Run], None]


def clients() -> list[str]:
    """Returns the names of all clients."""
    return sorted(path.parent.name for kind in ("requirements.in", "package.json") for path in HERE.glob(f"*/{kind}"))


def is_node(name: str) -> bool:
    """Returns whether the client runs in node."""
    return (HERE / name / "package.json").exists()


def own_tests(name: str) -> dict[str, Any]:
    """Returns the client's own_tests.yaml, which selects tests of its own test suite. Without the file, returns {}."""
    path = HERE / name / "own_tests.yaml"
    return dict(yaml.safe_load(path.read_text())) if path.exists() else {}


def ensure(name: str, cache: Cache, processes: Processes) -> Path:
    """Returns the folder of the client's environment. Installs the environment if the cache does not contain it.

    Raises MissingError if the environment cannot be installed.
    """

    def run(command: list[str]) -> None:
        _run(command, processes)

    def install(home: Path) -> None:
        print(f"Installing {name} in {home} …", flush=True)
        recipe.install(home, run)

    recipe = _recipe(name)
    home = cache.home(name, recipe.inputs)
    try:
        cache.ensure(home, install)
    except BusyError:
        raise MissingError(f"another run is still installing the client in {home}. Try again later") from None
    return home


def remove_stale(cache: Cache) -> None:
    """Removes environments that match no lock file and were not used for 30 days."""
    installable = [name for name in clients() if not is_node(name) or _has_node()]
    cache.remove_stale([cache.home(name, _recipe(name).inputs) for name in installable])


def _recipe(name: str) -> Recipe:
    special = _npm_recipe(name) if is_node(name) else _python_recipe(name)
    # This source file is an input because a change in it can change the environment.
    common = [sysconfig.get_platform().encode(), Path(__file__).read_bytes()]
    return Recipe([*common, *special.inputs], special.install)


def _python_recipe(name: str) -> Recipe:
    requirements, package = HERE / name / "requirements.txt", own_tests(name).get("package", "")

    def install(home: Path, run: Run) -> None:
        # uv links to the base interpreter of `.venv`, so the environment works after this checkout is deleted.
        run([str(BIN / "uv"), "venv", "--quiet", "--python", str(BIN / "python"), str(home)])
        pip = [str(BIN / "uv"), "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), "--no-deps"]
        run([*pip, "--require-hashes", "--requirement", str(requirements)])
        if package:
            _unpack_source(package, requirements, home / "source", run)

    return Recipe(
        [requirements.read_bytes(), package.encode(), sys.version.encode(), sys.base_prefix.encode()], install
    )


def _unpack_source(package: str, requirements: Path, source: Path, run: Run) -> None:
    """Unpacks the source distribution of the locked version and hash, because wheels do not contain the tests."""
    block = re.search(rf"^{re.escape(package)}==.*\n(?: .*\n)*", requirements.read_text(), re.M)
    assert block is not None
    with tempfile.TemporaryDirectory() as folder:
        only = Path(folder) / "only.txt"
        only.write_text(block[0])
        pip = [str(BIN / "python"), "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        run([*pip, "--no-binary", package, "--require-hashes", "-r", str(only), "-d", folder])
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
            archive.extractall(folder, filter="data")
        shutil.move(next(path for path in Path(folder).iterdir() if path.is_dir()), source)


def _npm_recipe(name: str) -> Recipe:
    files = [HERE / name / "package.json", HERE / name / "package-lock.json"]

    def install(home: Path, run: Run) -> None:
        for path in files:
            shutil.copy(path, home)
        run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home)])

    if not _has_node():
        raise MissingError("node or npm is not installed. Install both")
    version = subprocess.run(["node", "--version"], capture_output=True, check=True).stdout
    return Recipe([*(path.read_bytes() for path in files), version], install)


def _has_node() -> bool:
    return all(shutil.which(program) for program in ("node", "npm"))


def _run(command: list[str], processes: Processes) -> None:
    with processes.started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=MAX_SECONDS)
        except subprocess.TimeoutExpired:
            raise MissingError(f"the installation took longer than {MAX_SECONDS:.0f} s") from None
    if process.returncode:
        last_line = (errors or output).strip().splitlines()[-1:]
        raise MissingError(" — ".join(["it cannot be installed. Check that a package index is reachable", *last_line]))
