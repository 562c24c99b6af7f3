"""The files that are generated from the schema: complete, bounded and up to date in the repository."""

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
"""The generated files. No test changes them."""


def test_the_generated_files_in_the_repository_are_up_to_date():
    check = subprocess.run(
        [sys.executable, "-m", "rl_router_operator.generate", "--check"], capture_output=True, text=True, timeout=60
    )
    assert (check.returncode, check.stdout) == (0, "")


class KubernetesLoader(yaml.SafeLoader):
    """Reads `n` and `y` as kubectl and Helm do."""

    bool_values = yaml.SafeLoader.bool_values | {"n": False, "y": True}


KubernetesLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[nNyY]$"), list("nNyY"))


def test_kubectl_and_helm_read_the_crd_as_it_was_generated():
    assert yaml.load(files()[CRD], KubernetesLoader) == definition()


def test_a_check_reports_an_edited_file_by_its_path(tmp_path, capsys):
    update(files(), check=False, command="make reference", root=tmp_path)
    assert update(files(), check=True, command="make reference", root=tmp_path) == 0
    (tmp_path / CRD).write_text("edited by hand\n")
    assert update(files(), check=True, command="make reference", root=tmp_path) == 1
    assert capsys.readouterr().out == f"{CRD} does not match its sources. Run make reference\n"


def test_the_crd_is_small_enough_for_a_client_side_apply():
    """Such an apply stores the object as JSON in an annotation of at most 256 KiB. JSON is shorter than YAML."""
    assert len(files()[CRD].encode()) < 200 * 1024


def test_an_unbounded_field_is_reported_by_its_path():
    class Part(Schema):
        names: list[str] = Field(description="names", max_length=3)

    class Whole(Schema):
        parts: dict[str, Part] = Field(description="parts")

    with pytest.raises(UnfitSchemaError) as raised:
        require_fit(structural(Whole), "spec")
    assert str(raised.value).splitlines() == [
        "spec.parts: no maxProperties. Add maxProperties to the field in the schema",
        "spec.parts{}.names[]: no maxLength. Add maxLength to the field in the schema",
    ]


def test_a_field_without_a_description_is_reported_by_its_path():
    class Whole(Schema):
        count: int

    with pytest.raises(
        UnfitSchemaError, match=r"^spec\.count: no description\. Add a description to the field in the schema$"
    ):
        require_fit(structural(Whole), "spec")


def test_the_crd_has_no_defaults_for_fields_of_the_router_api():
    """A newer API image then uses its own newer defaults."""
    spec = _spec()
    assert "default" not in spec["properties"]["routing"]["properties"]["maxTurns"]
    assert spec["properties"]["routing"]["properties"]["maxTurns"]["description"].endswith("; default: 3")
    assert spec["properties"]["api"]["properties"]["replicas"]["default"] == 1


def test_the_crd_has_no_defaults_in_the_values_of_lists_and_maps():
    """A GitOps tool compares a list as a whole, so such a default would be a difference that never ends."""
    assert [*_defaults_in_values(_spec(), "spec", in_values=False)] == []
    mount = _spec()["properties"]["api"]["properties"]["podTemplate"]["properties"]["volumeMounts"]["items"]
    assert mount["properties"]["readOnly"]["description"].endswith("; default: false")


def _defaults_in_values(node, path, *, in_values):
    if in_values and "default" in node:
        yield path
    for name, child in node.get("properties", {}).items():
        yield from _defaults_in_values(child, f"{path}.{name}", in_values=in_values)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from _defaults_in_values(node[key], f"{path}[]", in_values=True)


def test_a_price_is_a_decimal_string():
    price = _spec()["properties"]["targets"]["items"]["properties"]["price"]["properties"]["input"]
    assert price["type"] == "string"
    assert price["x-kubernetes-validations"] == [
        {
            "rule": r"self.matches(r'^[0-9]{1,12}(\.[0-9]{1,12})?$')",
            "message": 'a price or cost must be a decimal number of 0 or more, in quotes such as "0.25", with at most'
            " 12 digits before and 12 digits after the decimal point",
        }
    ]


def test_only_the_users_identity_and_the_values_for_requests_are_nullable():
    identities = [
        f"spec.{tier}.podTemplate.securityContext.{field}"
        for tier in ("model", "api")
        for field in ("runAsUser", "fsGroup")
    ]
    maps = ("params.set", "history.addToMessages", "history.addToToolCalls")
    assert sorted(_nullable(_spec(), "spec")) == sorted([*identities, *(f"spec.targets.{name}" for name in maps)])


def test_the_rules_use_only_functions_that_kubernetes_1_30_accepts():
    """These are the functions of 1.29: in new objects a server accepts only what its predecessor could read."""
    known = {
        *("all", "exists", "filter", "map", "has", "size", "string", "matches", "startsWith", "endsWith", "contains"),
        *("replace", "split", "substring", "indexOf", "lastIndexOf", "quantity", "isQuantity", "isGreaterThan"),
    }
    without_strings = [re.sub(r"'[^']*'", "", rule) for rule in _rules(_generated())]
    called = {name for rule in without_strings for name in re.findall(r"(\w+)\(", rule)}
    assert {"matches", "quantity"} <= called <= known


@functools.cache
def _generated():
    """Returns the generated CRD. No test changes it."""
    return yaml.safe_load(files()[CRD])


def _spec():
    version = _generated()["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]


def _nullable(node, path):
    paths = [path] if node.get("nullable") else []
    for name, child in node.get("properties", {}).items():
        paths += _nullable(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            paths += _nullable(node[key], path)
    return paths


def _rules(node):
    if isinstance(node, dict):
        rules = [node["rule"]] if isinstance(node.get("rule"), str) else []
        return rules + [rule for child in node.values() for rule in _rules(child)]
    return [rule for child in node for rule in _rules(child)] if isinstance(node, list) else []
