"""The programs of Kubernetes' control plane that tests start."""

from __future__ import annotations

import os
import shutil

import pytest

API_SERVER = ("etcd", "kube-apiserver", "openssl")
_ADVICE = "Run scripts/control-plane FOLDER, and set KUBEBUILDER_ASSETS to FOLDER"


def find(name: str) -> str | None:
    """Returns the path of a program in the folder KUBEBUILDER_ASSETS or on the PATH, or None if it is missing."""
    folder = os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin")
    return shutil.which(name, path=folder) or shutil.which(name)


def require(*names: str) -> None:
    """Skips the test if a program is missing, or fails the test if KUBEBUILDER_ASSETS is set.

    A run with KUBEBUILDER_ASSETS requires the programs, so the run must not pass with skipped tests.
    """
    missing = [name for name in names if not find(name)]
    if missing and "KUBEBUILDER_ASSETS" in os.environ:
        pytest.fail(f"{' and '.join(missing)} not found in the folder KUBEBUILDER_ASSETS or on the PATH. {_ADVICE}")
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found on the PATH. {_ADVICE}")
