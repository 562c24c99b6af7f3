"""What the API server takes and what it refuses, and in which words."""

import subprocess
import time
from pathlib import Path

import control_plane
import pytest
import yaml
from rl_router_operator.generate.__main__ import ROOT
from rl_router_operator.naming import labels
from rl_router_operator.router import read

CRD = ROOT / "crds" / "routerdeployments.rlrouter.dev.yaml"
VALID = sorted((ROOT / "samples").glob("*.yaml"))
INVALID = sorted((ROOT / "samples" / "invalid").glob("*.yaml"))
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROUTERS = "/apis/rlrouter.dev/v1alpha1/namespaces/default/routerdeployments"
DRY_RUN = "?dryRun=All&fieldValidation=Strict"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if reason := control_plane.missing():
        pytest.skip(reason)
    with control_plane.running(tmp_path_factory.mktemp("control-plane")) as started:
        assert started.ask("POST", DEFINITIONS, yaml.safe_load(CRD.read_text()))["metadata"]["uid"]
        deadline = time.monotonic() + 30
        while started.client.get(ROUTERS).status_code != 200:
            assert time.monotonic() < deadline, "the API server does not serve RouterDeployments"
            time.sleep(0.1)
        yield started


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_sample_is_taken_and_read_by_the_operator(server, path):
    for document in _documents(path):
        if document["kind"] == "RouterDeployment":
            document["metadata"].pop("namespace", None)
            taken = server.ask("POST", ROUTERS + DRY_RUN, document)
            assert read(taken).name == document["metadata"]["name"], taken.get("message")


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_sample_is_refused_in_the_words_that_it_names(server, path):
    """The last of its documents is refused; those before it are what it is changed from."""
    *earlier, refused = _documents(path)
    expected = path.read_text().splitlines()[0].removeprefix("# expected: ")
    assert expected in _refusals(_changed(server, earlier, refused) if earlier else _created(server, refused))


def test_an_empty_object_is_filled_with_the_defaults(server):
    taken = _created(server, _router({}, "spec-left-out"))
    assert taken["spec"]["api"]["replicas"] == 1
    assert taken["spec"]["model"]["podTemplate"]["securityContext"] == {"runAsUser": 65532, "fsGroup": 65532}
    assert taken["spec"] == _created(server, {**_router({}, "spec-left-out"), "spec": {}})["spec"]


def test_an_identity_of_null_is_kept(server):
    """It leaves the identity to the platform; the default would not."""
    identity = {"runAsUser": None, "fsGroup": None}
    router = _router({"api": {"podTemplate": {"securityContext": identity}}})
    assert _created(server, router)["spec"]["api"]["podTemplate"]["securityContext"] == identity


def test_the_scale_is_read_and_set(server):
    server.ask("POST", ROUTERS, _router({}, "scaled"))
    scale = server.ask("GET", f"{ROUTERS}/scaled/scale")
    assert scale["spec"]["replicas"] == 1
    server.ask("PUT", f"{ROUTERS}/scaled/scale", {**scale, "spec": {"replicas": 3}})
    assert server.ask("GET", f"{ROUTERS}/scaled")["spec"]["api"]["replicas"] == 3


def test_storage_may_grow_come_and_go(server):
    source = {"source": "hf://Qwen/Qwen2.5-7B-Instruct"}
    small, large = ({**source, "storage": {"size": size}} for size in ("40Gi", "41000Mi"))
    for before, after in ((small, large), (source, small), (small, source)):
        taken = _changed(server, [_router({"model": before}, "storage")], _router({"model": after}, "storage"))
        assert taken["kind"] == "RouterDeployment", taken


@pytest.mark.parametrize("label", sorted({*labels("demo", "model")}))
def test_no_label_of_the_operators_own_can_be_overwritten(server, label):
    refused = _created(server, _router({"model": {"podTemplate": {"labels": {label: "other"}}}}))
    assert [cause["field"] for cause in refused["details"]["causes"]] == ["spec.model.podTemplate.labels"]


@pytest.mark.parametrize(
    "exposed",
    [{"service": {"type": "LoadBalancer"}}, {"ingress": {"host": "router.example.com"}}],
    ids=["load-balancer", "ingress"],
)
@pytest.mark.parametrize("auth", [{"anonymous": True}, {"secretRef": {"name": "keys"}}], ids=["anonymous", "keys"])
def test_an_api_may_be_exposed_with_keys_or_to_anybody_in_so_many_words(server, exposed, auth):
    assert _created(server, _router({"api": {**exposed, "auth": auth}}))["kind"] == "RouterDeployment"


def test_kubectl_explains_every_part(server):
    if not (kubectl := control_plane.program("kubectl")):
        pytest.skip("kubectl not found: set KUBEBUILDER_ASSETS to its folder")
    command = [
        kubectl,
        "--kubeconfig",
        str(server.kubeconfig),
        "explain",
        "routerdeployments.spec",
        "--recursive=false",
    ]
    explained = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "the router model: the one that decides" in explained
    assert "<no description>" not in explained


def _documents(path: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _router(spec: dict, name: str = "demo") -> dict:
    router = {"apiVersion": "rlrouter.dev/v1alpha1", "kind": "RouterDeployment", "metadata": {"name": name}}
    return {**router, "spec": spec} if spec else router


def _created(server, router: dict) -> dict:
    return server.ask("POST", ROUTERS + DRY_RUN, router)


def _changed(server, earlier: list[dict], router: dict) -> dict:
    path = f"{ROUTERS}/{router['metadata']['name']}"
    for document in earlier:
        made = server.ask("POST", ROUTERS, document)
    version = {"resourceVersion": made["metadata"]["resourceVersion"]}
    try:
        return server.ask("PUT", path + DRY_RUN, {**router, "metadata": {**router["metadata"], **version}})
    finally:
        server.ask("DELETE", path)


def _refusals(status: dict) -> list[str]:
    """`path: words` for each, without the value that was given."""
    assert status["kind"] == "Status", status
    return [*(_words(cause) for cause in status.get("details", {}).get("causes", ())), status["message"]]


def _words(cause: dict) -> str:
    message = cause["message"].removeprefix("Invalid value: ")
    if message.startswith('"'):
        message = message.partition('": ')[2]
    return message if cause["field"] == "<nil>" else f"{cause['field']}: {message}"
