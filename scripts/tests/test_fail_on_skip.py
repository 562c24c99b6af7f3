"""FAIL_ON_SKIP turns skipped tests and clients into failures, which report why they were skipped."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REMEDY = "Install what the test requires, deselect the test, or unset the variable FAIL_ON_SKIP."
FILES = {
    "test_mark.py": '@pytest.mark.skipif(True, reason="helm is missing")\ndef test_chart(): pass',
    "test_call.py": 'def test_tls(): pytest.skip("openssl is missing")',
    "test_fixture.py": '@pytest.fixture\ndef server(): pytest.skip("etcd is missing")\ndef test_operator(server): pass',
    "test_file.py": 'pytest.skip("docker is missing", allow_module_level=True)',
    "test_others.py": "def test_passes(): pass\n@pytest.mark.xfail\ndef test_fails_as_expected(): raise AssertionError",
}
"""Test files with four ways to skip a test, a test that passes, and a test that is expected to fail."""


def run(folder: Path, fail_on_skip: str) -> subprocess.CompletedProcess[str]:
    """Runs `FILES` beside a copy of the repository's conftest.py."""
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, tests in FILES.items():
        (folder / name).write_text(f"import pytest\n{tests}\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["FAIL_ON_SKIP"] = fail_on_skip
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_skipped_test_fails_with_the_reason_and_the_remedy(tmp_path: Path) -> None:
    done = run(tmp_path, "1")
    assert done.returncode == 1
    lines = rf"^\S*(test_\w+\.py):\d+: Skipped: (\w+) is missing: {re.escape(REMEDY)}$"
    assert sorted(re.findall(lines, done.stdout, re.MULTILINE)) == [
        ("test_call.py", "openssl"),
        ("test_file.py", "docker"),
        ("test_fixture.py", "etcd"),
        ("test_mark.py", "helm"),
    ]
    assert "1 failed, 1 passed, 1 xfailed, 3 errors" in done.stdout


def test_skipped_tests_do_not_fail_if_the_variable_is_empty(tmp_path: Path) -> None:
    done = run(tmp_path, "")
    assert done.returncode == 0
    assert "1 passed, 4 skipped, 1 xfailed" in done.stdout


@pytest.mark.parametrize(
    ("fail_on_skip", "status", "line"),
    [
        ("", 0, "ai-sdk: skipped, node or npm is not installed. Install both"),
        ("1", 1, "ai-sdk: failed because FAIL_ON_SKIP is set: node or npm is not installed. Install both"),
    ],
)
def test_a_client_that_cannot_be_installed_is_a_failure(
    fail_on_skip: str, status: int, line: str, tmp_path: Path
) -> None:
    environment = {"PATH": "", "HOME": str(tmp_path), "FAIL_ON_SKIP": fail_on_skip}
    command = [sys.executable, ROOT / "clients" / "suite.py", "ai-sdk"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert line in done.stdout.splitlines()
