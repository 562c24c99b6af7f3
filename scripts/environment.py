"""Creates or updates the project's virtual environment `.venv`. The script uses only Python's standard library.

    python3 scripts/environment.py [run | dev]

The argument `run`, which is the default, installs the packages for `make demo`, `host.sh`, `serve.sh`, `test_host.py`
and `test_serve.py`. The argument `dev` also installs the packages for the Makefile's other targets, such as the tests
and linters. An installation prints one line on standard error. If Python is too old, the module venv is missing, or the
installation fails, the script prints one line with the reason, and the exit status is 1.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LEVELS = ("run", "dev")


class MissingError(Exception):
    """Raised if a requirement of the virtual environment is missing or cannot be installed.

    The message of the error is one line with the reason.
    """


def ensure(level: str) -> None:
    """Creates or updates `.venv` with the packages of the level `run` or `dev` if `.venv` is not up to date.

    A file lock prevents two processes from installing packages at the same time.
    """
    if _is_ready(level):
        return
    _require_python()
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_ready(level):
            print(f"Setting up .venv ({level}), which can take a minute …", file=sys.stderr, flush=True)
            _create()
            _install(level)
            _stamp(level).write_text(_fingerprint(level))


def reenter(script: str) -> None:
    """Creates or updates `.venv`, and replaces this process with the Python of `.venv`, which runs `script` again.

    If this process already uses the Python of `.venv`, the function does nothing.
    """
    if Path(sys.prefix) == VENV:
        return
    try:
        ensure("run")
    except MissingError as missing:
        sys.exit(f"error: {missing}")
    print(f"{Path(script).name}: running in {VENV.name}", file=sys.stderr, flush=True)
    os.execv(PYTHON, [str(PYTHON), script, *sys.argv[1:]])


def _is_ready(level: str) -> bool:
    # `dev` includes the packages of `run`, so the stamp of either level is enough for `run`.
    levels = LEVELS if level == "run" else (level,)
    return PYTHON.exists() and any(
        _stamp(each).exists() and _stamp(each).read_text() == _fingerprint(each) for each in levels
    )


def _stamp(level: str) -> Path:
    return VENV / f".installed-{level}"


def _fingerprint(level: str) -> str:
    # The path is included because the scripts of a moved or copied environment contain the path of the old folder.
    parts = [_requirements(level).read_bytes(), (ROOT / "pyproject.toml").read_bytes(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _requirements(level: str) -> Path:
    return ROOT / "requirements" / f"{level}.txt"


def _require_python() -> None:
    if sys.version_info < (3, 11):
        raise MissingError(f"Python 3.11 or newer is required, not {sys.version.split()[0]}: install python3.11")


def _create() -> None:
    if PYTHON.exists() and _runs(PYTHON, "-m", "pip", "--version"):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if not _runs(Path(sys.executable), "-c", "import venv, ensurepip"):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise MissingError(
            f"Python's module venv is missing: run apt-get install python{version}-venv, or your system's equivalent"
        )
    _run([sys.executable, "-m", "venv", str(VENV)], f"the folder {VENV} cannot be created: check the permissions")


def _install(level: str) -> None:
    pip = [str(PYTHON), "-m", "pip", "install", "-qq", "--no-deps", "--disable-pip-version-check"]
    failure = "packages cannot be installed: check the package index and the variables PIP_INDEX_URL and HTTPS_PROXY"
    _run([*pip, "--require-hashes", "-r", str(_requirements(level))], failure)
    _run([*pip, "--no-build-isolation", "-e", str(ROOT)], failure)


def _runs(*command: Path | str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: list[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise MissingError(" — ".join([failure, *last]))


def main(arguments: list[str]) -> int:
    """Runs `scripts/environment.py`.

    Returns the exit status: 0 if the environment is ready, 1 after an error, 2 after invalid arguments.
    """
    level = arguments[0] if arguments else "run"
    if level not in LEVELS or len(arguments) > 1:
        print(f"usage: environment.py [{' | '.join(LEVELS)}]", file=sys.stderr)
        return 2
    try:
        ensure(level)
    except MissingError as missing:
        print(f"error: {missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
