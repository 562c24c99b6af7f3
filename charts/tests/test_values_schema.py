"""Values that the schema of the chart accepts or rejects, checked without Helm."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from rendered import CHART, ROOT

SCHEMA = jsonschema_rs.validator_for(json.loads((CHART / "values.schema.json").read_text("utf-8")))
SAMPLES = sorted((ROOT / "samples").glob("*.yaml"))


def _with(spec: object) -> dict[str, object]:
    return {"routerDeployment": {"create": True, "spec": spec}}


def test_the_defaults_are_valid() -> None:
    SCHEMA.validate(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_valid_as_the_first_router(sample: Path) -> None:
    routers = [
        manifest for manifest in yaml.safe_load_all(sample.read_text("utf-8")) if manifest["kind"] == "RouterDeployment"
    ]
    assert routers
    for router in routers:
        SCHEMA.validate(_with(router["spec"]))


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"api": {"replicas": "two"}}, ["api", "replicas"]),
        ({"api": {"replicas": -1}}, ["api", "replicas"]),
        ({"model": {"gpuMemoryUtilization": 0}}, ["model", "gpuMemoryUtilization"]),
        ({"targets": [{"baseUrl": "https://a.example.com/v1"}]}, ["targets", 0]),
        ({"model": {"sauce": "hf://a/b"}}, ["model"]),
    ],
)
def test_an_invalid_field_is_reported_with_its_path(spec: object, path: list[object]) -> None:
    (error,) = SCHEMA.iter_errors(_with(spec))
    assert list(error.instance_path) == ["routerDeployment", "spec", *path]


def test_quantities_may_be_numbers_or_strings() -> None:
    for quantity in (2, "500m", "40Gi"):
        SCHEMA.validate(_with({"api": {"resources": {"requests": {"cpu": quantity}}}}))


def test_a_parent_chart_may_pass_global_values() -> None:
    SCHEMA.validate({"global": {"anything": 1}})
