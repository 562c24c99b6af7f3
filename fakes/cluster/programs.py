"""Finds the programs that tests start, such as kube-apiserver."""

from __future__ import annotations

import os
import shutil

import pytest

API_SERVER = ("etcd", "kube-apiserver", "openssl")
_ADVICE = "Install openssl, run scripts/control-plane FOLDER, and set KUBEBUILDER_ASSETS to FOLDER"


def find(name: str) -> str | None:
    """Returns the path of a program, or None if the program is missing.

    The function searches the folder that the environment variable KUBEBUILDER_ASSETS names, and then the PATH. If the
    variable is not set, the folder is /usr/local/kubebuilder/bin.
    """
    folder = os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin")
    return shutil.which(name, path=folder) or shutil.which(name)


def require(*names: str) -> None:
    """If one of the programs `names` is missing, skips the test, or fails the test if KUBEBUILDER_ASSETS is set.

    A test run that sets KUBEBUILDER_ASSETS must not skip tests because of missing programs.
    """
    missing = [name for name in names if not find(name)]
    if missing and "KUBEBUILDER_ASSETS" in os.environ:
        folder = os.environ["KUBEBUILDER_ASSETS"]
        pytest.fail(f"{' and '.join(missing)} not found in the folder {folder!r} or on the PATH. {_ADVICE}")
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found in /usr/local/kubebuilder/bin or on the PATH. {_ADVICE}")
