"""Fails skipped tests if the environment variable FAIL_ON_SKIP is set. A missing program then fails the test run."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
FAIL_ON_SKIP = bool(os.environ.get("FAIL_ON_SKIP"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Changes the report of a skipped test into the report of a failed test if the variable `FAIL_ON_SKIP` is set."""
    return _without_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Changes the report of a skipped file into the report of a failed file if the variable `FAIL_ON_SKIP` is set."""
    return _without_skip((yield))


def _without_skip(report: Report) -> Report:
    """Returns the report of a test or a file.

    If the variable `FAIL_ON_SKIP` is set, the report of a skipped test or file becomes the report of a failure. The
    report of a test that is expected to fail stays unchanged.
    """
    if FAIL_ON_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        remedy = "Install what the test requires, deselect the test, or unset the variable FAIL_ON_SKIP."
        report.longrepr = f"{_reason(report)}: {remedy}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Returns the reason of a skipped test or file as the text `FILE:LINE: Skipped: REASON`."""
    path, line, reason = report.longrepr
    return f"{path}:{line}: {reason}"
