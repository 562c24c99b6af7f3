"""Tests that change the release, the nodes or the API server: one after the other, in a cluster of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from release import ALONE, Release, installed


@pytest.fixture(scope="session")
def chart(folder: Path) -> Release:
    """The release in the cluster of these tests. Where a cluster is given, that is the only one."""
    return installed(ALONE, folder)
