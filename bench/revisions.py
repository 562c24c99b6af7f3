"""Provides the revisions that are measured: the working tree and, with `--against REV`, an older revision.

`git archive` exports the older revision, so nothing is added to `.git`, even if a run is killed. The script
`scripts/environment.py` of the older revision then creates the virtual environment of the older revision. The creation
of the virtual environment takes about a minute and needs the package index. Each revision runs with its own locked
packages and cannot import the code of the other revision.

The code of the benchmark, its requests and its configuration always come from the working tree. If a
revision does not understand the benchmark's configuration, the revision's server does not start, and the run ends with
the last lines of the server's log.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Revision:
    """A revision of the code: the folder of the code, and the Python interpreter that runs the code."""

    label: str
    title: str
    folder: Path
    python: str


WORKING_TREE = Revision("new", "the working tree", ROOT, sys.executable)


@contextmanager
def old_and_new(name: str, package: str, new: Revision = WORKING_TREE) -> Iterator[tuple[Revision, Revision]]:
    """Yields the git revision `name` and the revision `new`. Both revisions are ready to run the package `package`.

    At the end of the context, the folder of the git revision is removed. Exits the benchmark if git does not know the
    revision `name`, if the environment of `name` cannot be created, or if `imported_from` rejects a revision.
    """
    with tempfile.TemporaryDirectory(prefix="rl-router-bench-") as temporary:
        old = _unpacked(name, new.folder, Path(temporary).resolve())
        for revision in (old, new):
            _compile(revision, package)
        yield old, new


def _unpacked(name: str, repository: Path, folder: Path) -> Revision:
    """Unpacks the git revision `name` into `folder`, installs the revision in `folder`, and returns the revision."""
    commit = _commit(name, repository)
    archive = subprocess.run(["git", "archive", commit], cwd=repository, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    # The level `run` does not include the operator's packages.
    process = subprocess.run([sys.executable, "scripts/environment.py", "dev"], cwd=folder, check=False)
    if process.returncode:
        raise SystemExit(f"error: --against {name}: scripts/environment.py failed. Read the script's output above")
    return Revision("old", f"{name} ({commit[:7]})", folder, str(folder / ".venv/bin/python"))


def _commit(name: str, repository: Path) -> str:
    """Returns the hash of the commit of the git revision `name`.

    Exits the benchmark if git does not know the revision.
    """
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    process = subprocess.run(command, cwd=repository, check=False, stdout=subprocess.PIPE, text=True)
    if process.returncode:
        raise SystemExit(f"error: --against {name}: unknown git revision. Use a tag, a branch or a commit of `git log`")
    return process.stdout.strip()


def _compile(revision: Revision, package: str) -> None:
    """Compiles the Python files of the package to bytecode, as the build of the container image does.

    Without the compilation, the package's first start would take more CPU time than later starts.
    """
    subprocess.run([revision.python, "-m", "compileall", "-q", imported_from(revision, package)], check=True)


def imported_from(revision: Revision, package: str) -> Path:
    """Returns the folder from which the interpreter of the revision imports the package.

    Exits the benchmark if the import fails, or if the folder of the package is outside the folder of the revision.
    """
    command = [revision.python, "-c", f"import {package}; print({package}.__file__)"]
    process = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    file = Path(process.stdout.strip() or "nowhere")
    if not file.is_relative_to(revision.folder):
        raise SystemExit(
            f"error: {revision.python} imports {package} from {file}, not from {revision.folder}. Remove other "
            f"copies of {package} from PYTHONPATH, and run the benchmark with .venv/bin/python in the repository's root"
        )
    return file.parent
