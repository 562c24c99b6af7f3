"""What is installed for each client: a virtual environment, or a tree of npm packages."""

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
AT_MOST = 180.0
"""Seconds that an installation or a run of tests may take."""

Install = Callable[[list[str]], None]
"""Runs a command of an installation."""


class MissingError(Exception):
    """A client cannot be installed here; the message says why in one line."""


@dataclass(frozen=True)
class Recipe:
    """How an environment is made, and what decides its contents."""

    decisive: list[bytes]
    make: Callable[[Path, Install], None]


def clients() -> list[str]:
    """Every client's name."""
    return sorted(path.parent.name for kind in ("requirements.in", "package.json") for path in HERE.glob(f"*/{kind}"))


def is_node(name: str) -> bool:
    """Whether the client is one for node."""
    return (HERE / name / "package.json").exists()


def theirs(name: str) -> dict[str, Any]:
    """Which of the client's own tests are run."""
    path = HERE / name / "theirs.yaml"
    return dict(yaml.safe_load(path.read_text())) if path.exists() else {}


def ensure(name: str, cache: Cache, processes: Processes) -> Path:
    """Returns the folder of the client's environment, which is installed if the cache does not have it."""

    def install(command: list[str]) -> None:
        _install(command, processes)

    def make(home: Path) -> None:
        print(f"Installing {name} in {home} …", flush=True)
        recipe.make(home, install)

    recipe = _recipe(name)
    home = cache.home(name, recipe.decisive)
    try:
        cache.ensure(home, make)
    except BusyError:
        raise MissingError(f"another run has been installing it in {home} for minutes") from None
    return home


def remove_stale(cache: Cache) -> None:
    """Removes the environments that no lock file names and that were not used for a long time."""
    installable = [name for name in clients() if not is_node(name) or _has_node()]
    cache.remove_stale([cache.home(name, _recipe(name).decisive) for name in installable])


def _recipe(name: str) -> Recipe:
    special = _npm_recipe(name) if is_node(name) else _python_recipe(name)
    # This file is a part of it, because another way to install makes another environment.
    common = [sysconfig.get_platform().encode(), Path(__file__).read_bytes()]
    return Recipe([*common, *special.decisive], special.make)


def _python_recipe(name: str) -> Recipe:
    requirements, package = HERE / name / "requirements.txt", theirs(name).get("package", "")

    def make(home: Path, install: Install) -> None:
        # uv links to the interpreter that made `.venv`, so the environment outlives this checkout.
        install([str(BIN / "uv"), "venv", "--quiet", "--python", str(BIN / "python"), str(home)])
        pip = [str(BIN / "uv"), "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), "--no-deps"]
        install([*pip, "--require-hashes", "--requirement", str(requirements)])
        if package:
            _unpack_source(package, requirements, home / "source", install)

    return Recipe([requirements.read_bytes(), package.encode(), sys.version.encode(), sys.base_prefix.encode()], make)


def _unpack_source(package: str, requirements: Path, source: Path, install: Install) -> None:
    """Unpacks the source distribution of the locked version and hash, since the tests are in no wheel."""
    block = re.search(rf"^{re.escape(package)}==.*\n(?: .*\n)*", requirements.read_text(), re.M)
    assert block is not None
    with tempfile.TemporaryDirectory() as folder:
        only = Path(folder) / "only.txt"
        only.write_text(block[0])
        pip = [str(BIN / "python"), "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        install([*pip, "--no-binary", package, "--require-hashes", "-r", str(only), "-d", folder])
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as packed:
            packed.extractall(folder, filter="data")
        shutil.move(next(path for path in Path(folder).iterdir() if path.is_dir()), source)


def _npm_recipe(name: str) -> Recipe:
    files = [HERE / name / "package.json", HERE / name / "package-lock.json"]

    def make(home: Path, install: Install) -> None:
        for path in files:
            shutil.copy(path, home)
        install(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home)])

    if not _has_node():
        raise MissingError("node and npm are needed")
    version = subprocess.run(["node", "--version"], capture_output=True, check=True).stdout
    return Recipe([*(path.read_bytes() for path in files), version], make)


def _has_node() -> bool:
    return all(shutil.which(each) for each in ("node", "npm"))


def _install(command: list[str], processes: Processes) -> None:
    with processes.started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=AT_MOST)
        except subprocess.TimeoutExpired:
            raise MissingError(f"its installation took longer than {AT_MOST:.0f} s") from None
    if process.returncode:
        last = (errors or output).strip().splitlines()[-1:]
        raise MissingError(" — ".join(["it cannot be installed; is a package index reachable?", *last]))
