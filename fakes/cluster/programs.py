"""Finds the programs of Kubernetes' control plane that tests start."""

from __future__ import annotations

import os
import shutil

import pytest

API_SERVER = ("etcd", "kube-apiserver", "openssl")
_ADVICE = "Run scripts/control-plane FOLDER, and set KUBEBUILDER_ASSETS to FOLDER"


def find(name: str) -> str | None:
    """Returns the path of a program, or None if the program is missing.

    The function looks for the program in the folder KUBEBUILDER_ASSETS and on the PATH.
    """
    folder = os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin")
    return shutil.which(name, path=folder) or shutil.which(name)


def require(*names: str) -> None:
    """If a program is missing, skips the test, or fails the test if the variable KUBEBUILDER_ASSETS is set.

    If the variable KUBEBUILDER_ASSETS is set, the test run requires the programs, so that the test run must not skip
    tests.
    """
    missing = [name for name in names if not find(name)]
    if missing and "KUBEBUILDER_ASSETS" in os.environ:
        pytest.fail(f"{' and '.join(missing)} not found in the folder KUBEBUILDER_ASSETS or on the PATH. {_ADVICE}")
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found on the PATH. {_ADVICE}")
