"""The chart as a dependency of a parent chart, and the examples of docs/gitops.md."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendered import CHART, NAMESPACE, ROOT, needs_helm, of_kind, one, render

pytestmark = needs_helm
GUIDE = (ROOT / "docs" / "gitops.md").read_text("utf-8")
EXAMPLES = re.findall(r"^<!-- rendered -->\n```yml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
APPLICATION, RELEASE, MESH, PARENT, PARENT_VALUES = map(yaml.safe_load, EXAMPLES)
LABEL = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def _parent(folder: Path, **dependency: str) -> Path:
    """Writes the guide's parent chart, with further fields of its dependency, and returns its folder."""
    shutil.copytree(CHART, folder / "charts" / "rl-router")
    (only,) = PARENT["dependencies"]
    (folder / "Chart.yaml").write_text(yaml.safe_dump({**PARENT, "dependencies": [{**only, **dependency}]}))
    return folder


def _render(chart: Path, values: Any) -> list[dict[str, Any]]:
    return render(values, "platform", chart=chart)


def test_the_guides_parent_chart_contains_the_operator_and_a_router(tmp_path: Path) -> None:
    objects = _render(_parent(tmp_path), PARENT_VALUES)
    assert one(objects, "Deployment")["metadata"]["namespace"] == NAMESPACE
    assert one(objects, "RouterDeployment")["spec"] == {}


def test_a_disabled_dependency_has_no_objects(tmp_path: Path) -> None:
    disabled = {**PARENT_VALUES["rl-router"], "enabled": False}
    assert _render(_parent(tmp_path), {"rl-router": disabled}) == []


def test_global_values_of_the_parent_chart_change_nothing(tmp_path: Path) -> None:
    chart = _parent(tmp_path)
    shared = {"imageRegistry": "registry.example.com", "nested": {"key": [1]}}
    assert _render(chart, {**PARENT_VALUES, "global": shared}) == _render(chart, PARENT_VALUES)


@pytest.mark.parametrize("alias", ["router", "rl-router-2", "rlRouter", "rl_router", "RL", "_x", "x_", "long" * 15])
def test_an_alias_gives_valid_names(tmp_path: Path, alias: str) -> None:
    chart = _parent(tmp_path, alias=alias, condition=f"{alias}.enabled")
    objects = _render(chart, {alias: PARENT_VALUES["rl-router"]})
    deployment = one(objects, "Deployment")["metadata"]
    assert deployment["name"] == f"platform-{alias.lower().replace('_', '-').strip('-')}"[:50]
    assert all(LABEL.fullmatch(value) for value in deployment["labels"].values())
    assert all(NAME.fullmatch(manifest["metadata"]["name"]) for manifest in objects)


@pytest.mark.parametrize(
    "values",
    [APPLICATION["spec"]["source"]["helm"]["valuesObject"], RELEASE["spec"]["values"]],
    ids=["argo-cd", "flux"],
)
def test_the_guides_gitops_examples_install_a_router_from_a_registry(values: Any) -> None:
    objects = render(values)
    assert of_kind(objects, "RouterDeployment")
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.example.com/team/rl-router/operator")


def test_the_guides_values_keep_meshes_out_of_the_hooks_pods_only() -> None:
    istio, linkerd = "sidecar.istio.io/inject", "linkerd.io/inject"
    values = {
        "routerDeployment": {"create": True},
        **MESH,
        "podLabels": {istio: "true"},
        "podAnnotations": {linkerd: "enabled"},
    }
    objects = render(values)
    operator, job = (one(objects, kind)["spec"]["template"]["metadata"] for kind in ("Deployment", "Job"))
    for hook in (job, one(objects, "Pod")["metadata"]):
        assert (hook["labels"][istio], hook["annotations"][linkerd]) == ("false", "disabled")
    assert (operator["labels"][istio], operator["annotations"][linkerd]) == ("true", "enabled")
