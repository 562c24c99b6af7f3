"""What is generated from the schema: complete, bounded, and as it stands in the repository."""

import functools
import re
import subprocess
import sys

import pytest
import yaml
from pydantic import Field
from rl_router_api.config import Schema
from rl_router_operator.generate import __main__ as generate
from rl_router_operator.generate.bounds import UnfitSchemaError, require_fit
from rl_router_operator.generate.crd import definition
from rl_router_operator.generate.openapi import structural
from rl_router_operator.generate.output import update

CRD = "crds/routerdeployments.rlrouter.dev.yaml"
files = functools.cache(generate.files)
"""What is generated; no test changes it."""


def test_the_repository_holds_what_the_schema_generates():
    outcome = subprocess.run(
        [sys.executable, "-m", "rl_router_operator.generate", "--check"], capture_output=True, text=True, timeout=60
    )
    assert (outcome.returncode, outcome.stdout) == (0, "")


class KubernetesLoader(yaml.SafeLoader):
    """Reads `n` and `y` as kubectl and Helm do."""

    bool_values = yaml.SafeLoader.bool_values | {"n": False, "y": True}


KubernetesLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[nNyY]$"), list("nNyY"))


def test_kubectl_and_helm_read_from_the_file_what_the_schema_says():
    assert yaml.load(files()[CRD], KubernetesLoader) == definition()


def test_a_check_prints_the_files_that_differ(tmp_path, capsys):
    update(files(), check=False, command="make reference", root=tmp_path)
    assert update(files(), check=True, command="make reference", root=tmp_path) == 0
    (tmp_path / CRD).write_text("edited by hand\n")
    assert update(files(), check=True, command="make reference", root=tmp_path) == 1
    assert capsys.readouterr().out == f"{CRD} does not match its sources. Run make reference\n"


def test_the_crd_can_be_applied_by_kubectl_from_the_client_side():
    """The annotation that such an apply writes holds 256 KiB; JSON is shorter than YAML."""
    assert len(files()[CRD].encode()) < 200 * 1024


def test_an_unbounded_field_is_named_by_its_path():
    class Part(Schema):
        names: list[str] = Field(description="names", max_length=3)

    class Whole(Schema):
        parts: dict[str, Part] = Field(description="parts")

    with pytest.raises(UnfitSchemaError) as refusal:
        require_fit(structural(Whole), "spec")
    assert str(refusal.value).splitlines() == ["spec.parts: no maxProperties", "spec.parts{}.names[]: no maxLength"]


def test_a_field_without_a_description_is_named_by_its_path():
    class Whole(Schema):
        count: int

    with pytest.raises(UnfitSchemaError, match=r"^spec\.count: no description$"):
        require_fit(structural(Whole), "spec")


def test_every_default_in_the_crd_is_one_of_the_operators_own_fields():
    """The router API's defaults stay its own, so that a newer image has newer ones."""
    spec = _spec()
    assert "default" not in spec["properties"]["routing"]["properties"]["maxTurns"]
    assert spec["properties"]["routing"]["properties"]["maxTurns"]["description"].endswith("; default: 3")
    assert spec["properties"]["api"]["properties"]["replicas"]["default"] == 1


def test_a_price_is_a_decimal_string():
    price = _spec()["properties"]["targets"]["items"]["properties"]["price"]["properties"]["input"]
    assert price["type"] == "string"
    assert price["x-kubernetes-validations"] == [
        {
            "rule": r"self.matches(r'^[0-9]{1,12}(\.[0-9]{1,12})?$')",
            "message": 'must be a decimal number in quotes such as "0.25", with at most 12 decimals',
        }
    ]


def test_null_means_something_for_the_users_identity_alone():
    assert _nullable(_spec(), "spec") == [
        f"spec.{tier}.podTemplate.securityContext.{field}"
        for tier in ("model", "api")
        for field in ("runAsUser", "fsGroup")
    ]


def test_no_rule_needs_more_than_kubernetes_1_30_offers_to_a_new_object():
    """That is what 1.29 knew: a server takes into new objects only what the version before it could read."""
    known = {
        *("all", "exists", "filter", "map", "has", "size", "string", "matches", "startsWith", "endsWith", "contains"),
        *("replace", "split", "substring", "indexOf", "lastIndexOf", "quantity", "compareTo", "isGreaterThan"),
    }
    outside_of_texts = [re.sub(r"'[^']*'", "", rule) for rule in _rules(_generated())]
    called = {name for rule in outside_of_texts for name in re.findall(r"(\w+)\(", rule)}
    assert {"matches", "quantity"} <= called <= known


@functools.cache
def _generated():
    """The CRD that is generated, read back; no test changes it."""
    return yaml.safe_load(files()[CRD])


def _spec():
    version = _generated()["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]


def _nullable(node, path):
    found = [path] if node.get("nullable") else []
    for name, child in node.get("properties", {}).items():
        found += _nullable(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            found += _nullable(node[key], path)
    return found


def _rules(node):
    if isinstance(node, dict):
        found = [node["rule"]] if isinstance(node.get("rule"), str) else []
        return found + [rule for child in node.values() for rule in _rules(child)]
    return [rule for child in node for rule in _rules(child)] if isinstance(node, list) else []
