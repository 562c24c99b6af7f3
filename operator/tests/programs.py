"""The programs that tests need: a test without them is skipped, unless their folder is named."""

from __future__ import annotations

import os

import control_plane
import pytest

API_SERVER = ("etcd", "kube-apiserver", "openssl")


def need(*names: str) -> None:
    """Skips the test if a program is missing; fails it if KUBEBUILDER_ASSETS is set.

    A run that names the folder must not pass because its tests were skipped.
    """
    absent = [name for name in names if not control_plane.program(name)]
    if absent and "KUBEBUILDER_ASSETS" in os.environ:
        pytest.fail(f"{' and '.join(absent)} not found in the folder that KUBEBUILDER_ASSETS names: {_ADVICE}")
    if absent:
        pytest.skip(f"{' and '.join(absent)} not found: {_ADVICE}")


_ADVICE = "run scripts/control-plane FOLDER, and set KUBEBUILDER_ASSETS to FOLDER"
