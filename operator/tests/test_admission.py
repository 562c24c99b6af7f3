"""RouterDeployments that the API server accepts, and the messages for those that it rejects."""

import re
import subprocess

import pytest
import yaml
from pydantic.alias_generators import to_camel
from rl_router_operator.generate.output import ROOT
from rl_router_operator.objects.manifest import ref_of
from rl_router_operator.objects.naming import labels
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults
from rl_router_operator.schema import Model, PodTemplate
from rl_router_operator.schema.hosting import HOSTED_MODEL

from fakes.cluster import programs
from fakes.cluster.admission import ROUTERS, errors
from fakes.cluster.routers import router
from fakes.cluster.waiting import wait_until

VALID = sorted((ROOT / "samples").glob("*.yaml"))
INVALID = sorted((ROOT / "samples" / "invalid").glob("*.yaml"))
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCE = {"source": "hf://Qwen/Qwen2.5-7B-Instruct"}


def _examples():
    for guide in GUIDES:
        for block in re.findall(r"^```yaml\n(apiVersion:.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL):
            yield guide, block


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_the_api_server_accepts_each_sample_and_the_operator_reads_it(admission, path):
    (sample,) = yaml.safe_load_all(path.read_text())
    stored = admission.create(sample)
    assert stored["kind"] == "RouterDeployment", stored
    assert read(stored).name == sample["metadata"]["name"]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_sample_is_rejected_with_its_expected_message(admission, path):
    """In a file with two documents, the second is an invalid update of the first."""
    *earlier, invalid = yaml.safe_load_all(path.read_text())
    expected = path.read_text().splitlines()[0].removeprefix("# expected: ")
    assert expected in errors(admission.update(*earlier, invalid) if earlier else admission.create(invalid))


@pytest.mark.parametrize(("guide", "block"), [*_examples()], ids=lambda part: getattr(part, "name", ""))
def test_the_api_server_accepts_each_example_of_the_guides(admission, guide, block):
    example = yaml.safe_load(block)
    assert admission.create(example)["kind"] == "RouterDeployment", guide


def test_an_empty_object_gets_all_defaults(admission):
    empty = router()
    stored = admission.create(empty)
    assert stored["spec"]["api"]["replicas"] == 1
    assert stored["spec"]["model"]["podTemplate"]["securityContext"] == {"runAsUser": 65532, "fsGroup": 65532}
    without_spec = {name: part for name, part in empty.items() if name != "spec"}
    assert admission.create(without_spec)["spec"] == stored["spec"]


def test_an_identity_of_null_is_stored(admission):
    """Null lets the platform choose the identity; the default would not."""
    identity = {"runAsUser": None, "fsGroup": None}
    stored = admission.create(router(api={"podTemplate": {"securityContext": identity}}))
    assert stored["spec"]["api"]["podTemplate"]["securityContext"] == identity


def test_a_request_field_of_null_is_stored_and_reaches_the_configuration_of_the_router_api(admission):
    null = {"thinking": None, "nested": {"a": None}}
    target = {"name": "a", "baseUrl": "https://a.example/v1", "params": {"set": null}}
    stored = admission.create(router(targets=[target]))
    assert stored["spec"]["targets"][0]["params"]["set"] == null
    children = desired(read(stored), Defaults())
    (text,) = (child["data"]["router.yaml"] for child in children if ref_of(child) == ("ConfigMap", "demo-api"))
    assert yaml.safe_load(text)["targets"][0]["params"]["set"] == null


@pytest.mark.parametrize(
    ("key", "is_valid"), [(".", False), ("..", False), ("..a", False), (".a", True), ("a..", True)]
)
def test_the_key_of_a_secret_has_the_form_that_kubernetes_accepts(admission, key, is_valid):
    target = {"name": "a", "baseUrl": "https://a.example/v1", "apiKeySecretRef": {"name": "x", "key": key}}
    answer = admission.create(router(targets=[target]))
    assert (answer["kind"] == "RouterDeployment") is is_valid, answer


def test_the_scale_subresource_reads_and_sets_the_replicas(api_server):
    api_server.request("POST", ROUTERS, router("scaled"))
    scale = api_server.request("GET", f"{ROUTERS}/scaled/scale")
    assert scale["spec"]["replicas"] == 1
    api_server.request("PUT", f"{ROUTERS}/scaled/scale", {**scale, "spec": {"replicas": 3}})
    assert api_server.request("DELETE", f"{ROUTERS}/scaled")["status"] == "Success"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("40Gi", "41000Mi", id="grows"),
        pytest.param("40Gi", "40Gi", id="unchanged"),
        pytest.param(None, "40Gi", id="added"),
        pytest.param("40Gi", None, id="removed"),
        pytest.param(40, "41", id="grows-as-a-number"),
        pytest.param("40Gi", "20Gi", id="is-lowered"),
        pytest.param("1", "+1e3", id="has-another-form"),
    ],
)
def test_the_size_of_storage_may_change_and_storage_may_be_added_or_removed(admission, before, after):
    earlier, later = ({**SOURCE, **({"storage": {"size": size}} if size else {})} for size in (before, after))
    updated = admission.update(router(model=earlier), router(model=later))
    assert updated["kind"] == "RouterDeployment", updated


EXTERNAL = {"baseUrl": "https://models.example.com/v1"}


@pytest.mark.parametrize(
    ("fields", "is_valid"),
    [
        ({"runAsUser": 65532, "fsGroup": 65532}, True),
        ({}, True),
        (None, True),
        ({"runAsUser": 1000}, False),
        ({"fsGroup": 1000}, False),
        ({"runAsUser": None}, False),
        ({"fsGroup": None}, False),
    ],
)
def test_an_external_model_has_no_security_settings_of_pods(admission, fields, is_valid):
    model = {"external": EXTERNAL, "podTemplate": {"securityContext": fields}}
    answer = admission.create(router(model=model))
    assert (answer["kind"] == "RouterDeployment") is is_valid, answer


def test_the_rules_for_an_external_model_cover_every_field_of_a_hosted_model():
    """A new field of the model or of its pods needs an entry in the rules."""
    model = {field.alias or to_camel(name) for name, field in Model.model_fields.items()} - {"external"}
    template = {to_camel(name) for name in PodTemplate.model_fields}
    rules = " ".join(rule["rule"] for rule in HOSTED_MODEL["x-kubernetes-validations"][:2])
    assert [name for name in sorted(model) if f"self.{name}" not in rules] == []
    assert [name for name in sorted(template) if f"self.podTemplate.{name}" not in rules] == []


@pytest.mark.parametrize("label", sorted(labels("demo", "model")))
def test_a_pod_template_cannot_set_labels_that_the_operator_sets(admission, label):
    rejection = admission.create(router(model={"podTemplate": {"labels": {label: "other"}}}))
    assert [cause["field"] for cause in rejection["details"]["causes"]] == ["spec.model.podTemplate.labels"]


@pytest.mark.parametrize(
    "key",
    [
        "deployment.kubernetes.io/revision",
        "deployment.kubernetes.io/desired-replicas",
        "deprecated.deployment.rollback.to",
        "autoscaling.alpha.kubernetes.io/metrics",
        "kubectl.kubernetes.io/last-applied-configuration",
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        ("annotations",),
        ("api", "podTemplate", "annotations"),
        ("api", "service", "annotations"),
        ("model", "serviceAccount", "annotations"),
    ],
    ids=".".join,
)
def test_the_annotations_of_a_child_cannot_have_keys_that_controllers_write(admission, path, key):
    spec = {key: "1"}
    for name in reversed(path):
        spec = {name: spec}
    expected = f"spec.{'.'.join(path)}: Kubernetes and kubectl themselves"
    assert any(error.startswith(expected) for error in errors(admission.create(router(**spec))))


def test_a_pod_template_may_have_the_annotation_of_a_restart(admission):
    restart = {"podTemplate": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}
    assert admission.create(router(api=restart, model=restart))["kind"] == "RouterDeployment"


@pytest.mark.parametrize(
    "exposed",
    [
        {"service": {"type": "LoadBalancer"}},
        {"service": {"type": "NodePort"}},
        {"ingress": {"host": "router.example.com"}},
        {"httpRoute": {"parentRefs": [{"name": "gateway"}]}},
    ],
    ids=lambda exposed: next(iter(exposed)),
)
@pytest.mark.parametrize("auth", [{"anonymous": True}, {"secretRef": {"name": "keys"}}], ids=["anonymous", "keys"])
def test_an_api_with_keys_or_explicit_anonymous_access_may_be_exposed(admission, exposed, auth):
    assert admission.create(router(api={**exposed, "auth": auth}))["kind"] == "RouterDeployment"


def test_kubectl_explains_every_field(api_server):
    programs.require("kubectl")
    for path, text in (
        ("spec", "router model, which decides how to answer a request"),
        ("spec.model", "volume of each model pod for downloaded weights"),
    ):
        # The API server publishes the schema of a CRD some time after it serves the kind.
        wait_until(lambda path=path, text=text: text in explain(api_server, path).stdout, f"the schema of {path}")
        explanation = explain(api_server, path)
        assert explanation.returncode == 0, explanation.stderr
        assert "<no description>" not in explanation.stdout


@pytest.mark.parametrize("sample", VALID, ids=lambda path: path.name)
def test_kubectl_reads_every_sample_as_the_api_server_expects(api_server, sample):
    # kubectl's YAML differs from Python's: an unquoted `n` is false.
    programs.require("kubectl")
    command = ["--kubeconfig", api_server.kubeconfig, "create", "--dry-run=server", "--filename", sample]
    process = subprocess.run(
        [programs.find("kubectl"), *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr


def explain(api_server, path):
    command = [programs.find("kubectl"), "--kubeconfig", api_server.kubeconfig, "explain", f"routerdeployments.{path}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
