"""What the API server takes and what it refuses, and in which words."""

import re
import subprocess

import control_plane
import pytest
import yaml
from admission import ROUTERS, refusals, router
from programs import need
from rl_router_operator.generate.output import ROOT
from rl_router_operator.objects.naming import labels
from rl_router_operator.objects.routerdeployment import read

VALID = sorted((ROOT / "samples").glob("*.yaml"))
INVALID = sorted((ROOT / "samples" / "invalid").glob("*.yaml"))
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCE = {"source": "hf://Qwen/Qwen2.5-7B-Instruct"}


def _examples():
    for guide in GUIDES:
        for block in re.findall(r"^```yaml\n(apiVersion:.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL):
            yield guide, block


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_sample_is_taken_and_read_by_the_operator(admission, path):
    (sample,) = yaml.safe_load_all(path.read_text())
    taken = admission.create(sample)
    assert taken["kind"] == "RouterDeployment", taken
    assert read(taken).name == sample["metadata"]["name"]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_sample_is_refused_in_the_words_that_it_names(admission, path):
    """Of two documents the second is refused as a change of the first."""
    *earlier, refused = yaml.safe_load_all(path.read_text())
    expected = path.read_text().splitlines()[0].removeprefix("# expected: ")
    assert expected in refusals(admission.change(*earlier, refused) if earlier else admission.create(refused))


@pytest.mark.parametrize(("guide", "block"), [*_examples()], ids=lambda part: getattr(part, "name", ""))
def test_an_example_in_a_guide_is_taken(admission, guide, block):
    example = yaml.safe_load(block)
    assert admission.create(example)["kind"] == "RouterDeployment", guide


def test_an_empty_object_is_filled_with_the_defaults(admission):
    whole = router({})
    taken = admission.create(whole)
    assert taken["spec"]["api"]["replicas"] == 1
    assert taken["spec"]["model"]["podTemplate"]["securityContext"] == {"runAsUser": 65532, "fsGroup": 65532}
    without_spec = {name: part for name, part in whole.items() if name != "spec"}
    assert admission.create(without_spec)["spec"] == taken["spec"]


def test_an_identity_of_null_is_kept(admission):
    """It leaves the identity to the platform; the default would not."""
    identity = {"runAsUser": None, "fsGroup": None}
    taken = admission.create(router({"api": {"podTemplate": {"securityContext": identity}}}))
    assert taken["spec"]["api"]["podTemplate"]["securityContext"] == identity


def test_the_scale_is_read_and_set(api_server):
    api_server.ask("POST", ROUTERS, router({}, "scaled"))
    scale = api_server.ask("GET", f"{ROUTERS}/scaled/scale")
    assert scale["spec"]["replicas"] == 1
    api_server.ask("PUT", f"{ROUTERS}/scaled/scale", {**scale, "spec": {"replicas": 3}})
    assert api_server.ask("DELETE", f"{ROUTERS}/scaled")["status"] == "Success"


@pytest.mark.parametrize(
    ("before", "after"),
    [("40Gi", "41000Mi"), ("40Gi", "40Gi"), (None, "40Gi"), ("40Gi", None), (40, "41")],
    ids=["grows", "stays", "comes", "goes", "grows-as-a-number"],
)
def test_storage_may_grow_come_and_go(admission, before, after):
    earlier, later = ({**SOURCE, **({"storage": {"size": size}} if size else {})} for size in (before, after))
    taken = admission.change(router({"model": earlier}), router({"model": later}))
    assert taken["kind"] == "RouterDeployment", taken


@pytest.mark.parametrize("label", sorted(labels("demo", "model")))
def test_no_label_of_the_operators_own_can_be_overwritten(admission, label):
    refused = admission.create(router({"model": {"podTemplate": {"labels": {label: "other"}}}}))
    assert [cause["field"] for cause in refused["details"]["causes"]] == ["spec.model.podTemplate.labels"]


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
def test_an_api_may_be_exposed_with_keys_or_to_anybody_in_so_many_words(admission, exposed, auth):
    assert admission.create(router({"api": {**exposed, "auth": auth}}))["kind"] == "RouterDeployment"


def test_kubectl_explains_every_part(api_server):
    need("kubectl")
    kubectl = control_plane.program("kubectl")
    for path, words in (
        ("spec", "router model, which makes the decisions"),
        ("spec.model", "volume for downloaded weights"),
    ):
        command = [kubectl, "--kubeconfig", str(api_server.kubeconfig), "explain", f"routerdeployments.{path}"]
        explained = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        assert words in explained
        assert "<no description>" not in explained
