"""Tests that change the release, the nodes or the API server run in sequence in their own cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from release import SERIAL, Release, installed


@pytest.fixture(scope="session")
def chart(folder: Path) -> Release:
    """Returns the release in the cluster of these tests, or in the existing cluster."""
    return installed(SERIAL, folder)
