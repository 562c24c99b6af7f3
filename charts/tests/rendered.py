"""Renders the chart with Helm."""

from __future__ import annotations

import json
import re
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
"""The oldest Kubernetes that the chart supports. Helm's default depends on its version: 3.14 renders for 1.29."""
Manifest = dict[str, Any]

needs_helm = pytest.mark.skipif(not shutil.which("helm"), reason="helm is not installed: the chart is not rendered")


class _UniqueKeys(yaml.SafeLoader):
    """Loads YAML and rejects duplicate keys, as Flux's post-renderers do."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Returns a mapping whose keys are unique."""
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"duplicate keys: {keys}"
        return super().construct_mapping(node, deep)


# Other parsers than PyYAML read `1e5` as a number.
_UniqueKeys.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("+-0123456789"))


def helm(*arguments: str | Path, values: Any = None) -> subprocess.CompletedProcess[str]:
    """Runs Helm with `values` on its stdin, without a cluster."""
    command = ["helm", *map(str, arguments), *(["--values", "-"] if values is not None else [])]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


def render(values: Any = None, release: str = "rl-router", *options: str, chart: Path = CHART) -> list[Manifest]:
    """Returns all objects of a chart, including hooks."""
    command = ("template", release, chart, "--kube-version", OLDEST, "--namespace", NAMESPACE, *options)
    completed = helm(*command, values=values or {})
    assert completed.returncode == 0, completed.stderr
    return [manifest for manifest in yaml.load_all(completed.stdout, _UniqueKeys) if manifest]


def error(values: Any, kubernetes: str = OLDEST) -> str:
    """Returns Helm's error for invalid values or an unsupported Kubernetes version."""
    completed = helm("template", "rl-router", CHART, "--kube-version", kubernetes, values=values)
    assert completed.returncode != 0, "Helm accepted them"
    return completed.stderr


def notes(values: Any) -> str:
    """Returns the notes that `helm install` prints. They are rendered as a template, since Helm 3 needs a cluster."""
    with TemporaryDirectory() as folder:
        chart = shutil.copytree(CHART, Path(folder) / "chart")
        templates = chart / "templates"
        text = (templates / "NOTES.txt").read_text("utf-8")
        (templates / "_notes.tpl").write_text('{{ define "notes" }}' + text + "{{ end }}")
        (templates / "notes.yaml").write_text('notes: {{ include "notes" . | toJson }}')
        options = "--kube-version", OLDEST, "--namespace", NAMESPACE, "--show-only", "templates/notes.yaml"
        completed = helm("template", "rl-router", chart, *options, values=values)
    assert completed.returncode == 0, completed.stderr
    return str(yaml.safe_load(completed.stdout)["notes"])


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    """Returns the objects of a kind."""
    return [manifest for manifest in objects if manifest["kind"] == kind]


def one(objects: list[Manifest], kind: str) -> Manifest:
    """Returns the only object of a kind."""
    (only,) = of_kind(objects, kind)
    return only


def pods(objects: list[Manifest]) -> Iterator[Manifest]:
    """Yields the pod specs of all Deployments, Jobs and Pods."""
    for manifest in objects:
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["spec"]["template"]["spec"]
        elif manifest["kind"] == "Pod":
            yield manifest["spec"]
