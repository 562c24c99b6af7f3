"""Installs packages that contain policies, in the same form in which pip installs packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def install_policy(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installs the policy `name` as a package in `folder`, adds `folder` to `sys.path`, and returns `folder`.

    The entry point of the policy is the function `create` in the package's module `NAME_policy`.
    """
    module, information = f"{name}_policy", folder / f"{name}_policy-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-policy\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[rl_router.policies]\n{name} = {module}:create\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, module, raising=False)
    return folder
