"""The code that is measured: the working tree, and for `--against REV` an older revision beside it.

`git archive` unpacks the older revision, so nothing is added to `.git`, even if a run is killed. The revision's own
`scripts/environment.py` then makes its environment. That takes a minute and needs the package index. In return, each
revision runs with the packages that it locks, and the order of import paths cannot mix the code of the two.

The benchmark, its requests and its configuration are always those of the working tree. If a revision does not
understand them, its server does not start, and the run ends with the last lines of the server's log.
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
    """A state of the code: its folder, and the interpreter of the environment it is installed in."""

    label: str
    title: str
    folder: Path
    python: str


WORKING_TREE = Revision("new", "the working tree", ROOT, sys.executable)


@contextmanager
def old_and_new(name: str, package: str, new: Revision = WORKING_TREE) -> Iterator[tuple[Revision, Revision]]:
    """Yields the revision `name` of the repository of `new`, and `new`; both are ready to run `package`.

    The old revision's folder is removed at the end. Exits if the revision or its environment cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="rl-router-bench-") as temporary:
        old = _unpacked(name, new.folder, Path(temporary).resolve())
        for revision in (old, new):
            _compile(revision, package)
        yield old, new


def _unpacked(name: str, repository: Path, folder: Path) -> Revision:
    """Returns the revision, installed into an environment of its own in `folder`."""
    commit = _commit(name, repository)
    archive = subprocess.run(["git", "archive", commit], cwd=repository, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    # `dev`, like the working tree's: `run` lacks the operator's packages.
    made = subprocess.run([sys.executable, "scripts/environment.py", "dev"], cwd=folder, check=False)
    if made.returncode:
        raise SystemExit(f"error: --against {name}: its scripts/environment.py failed: see the lines above")
    return Revision("old", f"{name} ({commit[:7]})", folder, str(folder / ".venv/bin/python"))


def _commit(name: str, repository: Path) -> str:
    """Returns the commit's hash. Exits if git does not know the revision."""
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    shown = subprocess.run(command, cwd=repository, check=False, stdout=subprocess.PIPE, text=True)
    if shown.returncode:
        raise SystemExit(f"error: --against {name}: unknown git revision: use one that `git log` shows")
    return shown.stdout.strip()


def _compile(revision: Revision, package: str) -> None:
    """Compiles the package, as its image does: otherwise the first start takes more CPU time than the next."""
    subprocess.run([revision.python, "-m", "compileall", "-q", imported_from(revision, package)], check=True)


def imported_from(revision: Revision, package: str) -> Path:
    """Returns the package's folder. Exits if the interpreter imports it from outside of the revision's folder."""
    command = [revision.python, "-c", f"import {package}; print({package}.__file__)"]
    shown = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    file = Path(shown.stdout.strip() or "nowhere")
    if not file.is_relative_to(revision.folder):
        raise SystemExit(
            f"error: {revision.python} imports {package} from {file}, not from {revision.folder}: unset PYTHONPATH, "
            "and run .venv/bin/python in the repository's root"
        )
    return file.parent
