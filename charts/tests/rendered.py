"""The chart as Helm renders it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "rl-router"
NAMESPACE = "rl-router-system"
OLDEST = "1.30"
"""The oldest Kubernetes that the chart takes; unless told, Helm renders for one of its own age, 3.14 for 1.29."""
Manifest = dict[str, Any]

needs_helm = pytest.mark.skipif(not shutil.which("helm"), reason="helm is not installed: the chart is not rendered")


def helm(*arguments: str | Path, values: Any = None) -> subprocess.CompletedProcess[str]:
    """Runs Helm with values as a file, and never asks a cluster."""
    command = ["helm", *map(str, arguments), *(["--values", "-"] if values is not None else [])]
    return subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)


def render(values: Any = None, release: str = "rl-router") -> list[Manifest]:
    """Every object, hooks included, that the chart makes of these values."""
    done = helm("template", release, CHART, "--kube-version", OLDEST, "--namespace", NAMESPACE, values=values or {})
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def refusal(values: Any, kubernetes: str = OLDEST) -> str:
    """What Helm says of values, or of a cluster, that it does not take."""
    done = helm("template", "rl-router", CHART, "--kube-version", kubernetes, values=values)
    assert done.returncode != 0, "Helm took them"
    return done.stderr


def notes(values: Any) -> str:
    """What `helm install` tells the user; Helm 3 says so to no one without a cluster, hence as a template's output."""
    with TemporaryDirectory() as folder:
        chart = shutil.copytree(CHART, Path(folder) / "chart")
        templates = chart / "templates"
        text = (templates / "NOTES.txt").read_text("utf-8")
        (templates / "_notes.tpl").write_text('{{ define "notes" }}' + text + "{{ end }}")
        (templates / "notes.yaml").write_text('notes: {{ include "notes" . | toJson }}')
        options = "--kube-version", OLDEST, "--namespace", NAMESPACE, "--show-only", "templates/notes.yaml"
        done = helm("template", "rl-router", chart, *options, values=values)
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["notes"])


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    """The objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def one(objects: list[Manifest], kind: str) -> Manifest:
    """The only object of a kind."""
    (found,) = of_kind(objects, kind)
    return found


def pods(objects: list[Manifest]) -> Iterator[Manifest]:
    """The spec of every pod that the objects lead to."""
    for each in objects:
        if each["kind"] in ("Deployment", "Job"):
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["spec"]
