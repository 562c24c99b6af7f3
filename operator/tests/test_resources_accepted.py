"""What is made of the samples is taken by a real API server as it is, and its pods under Pod Security `restricted`."""

import json
import time
from pathlib import Path

import control_plane
import pytest
import yaml
from accepted import lost, open_definition
from rl_router_operator.generate.__main__ import ROOT
from rl_router_operator.kinds import BY_NAME, KINDS
from rl_router_operator.manifest import ref_of
from rl_router_operator.naming import FIELD_MANAGER
from rl_router_operator.resources import desired
from rl_router_operator.router import read
from rl_router_operator.settings import Defaults

SAMPLES = [*sorted((ROOT / "samples").glob("*.yaml")), Path(__file__).with_name("everything.yaml")]
DEFAULTS = Defaults(operator_namespace="rl-router-system", monitoring_namespace="monitoring")
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RESTRICTED = "restricted"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if reason := control_plane.missing():
        pytest.skip(reason)
    with control_plane.running(tmp_path_factory.mktemp("control-plane")) as started:
        for definition in _definitions():
            assert "uid" in started.ask("POST", DEFINITIONS, definition)["metadata"]
        started.ask("POST", "/api/v1/namespaces", _namespace())
        served = {kind.api_version: kind.plural for kind in KINDS if kind.optional}
        served["rlrouter.dev/v1alpha1"] = "routerdeployments"
        for version, plural in served.items():
            _await_served(started, f"/apis/{version}/{plural}")
        yield started


@pytest.fixture(params=SAMPLES, ids=lambda path: path.stem)
def children(request, server):
    """Of the sample, as the API server stores it."""
    body = yaml.safe_load(request.param.read_text())
    path = f"/apis/rlrouter.dev/v1alpha1/namespaces/{RESTRICTED}/routerdeployments?dryRun=All&fieldValidation=Strict"
    stored = server.ask("POST", path, body)
    assert stored["kind"] == "RouterDeployment", stored
    return desired(read(stored), DEFAULTS)


def test_every_child_is_taken_and_kept_as_it_is(server, children):
    for child in children:
        kept = _applied(server, child)
        assert kept["kind"] == child["kind"], kept
        assert not list(lost(child, kept)), ref_of(child)


def test_every_pod_meets_pod_security_restricted(server, children):
    for child in children:
        if template := child.get("spec", {}).get("template"):
            made = server.ask("POST", f"/api/v1/namespaces/{RESTRICTED}/pods?dryRun=All", _pod(child, template))
            assert made["kind"] == "Pod", made


def _definitions():
    yield yaml.safe_load((ROOT / "crds/routerdeployments.rlrouter.dev.yaml").read_text())
    yield from (open_definition(kind) for kind in KINDS if kind.optional)


def _namespace():
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RESTRICTED, "labels": labels}}


def _await_served(server, path):
    deadline = time.monotonic() + 30
    while server.client.get(path).status_code != 200:
        assert time.monotonic() < deadline, f"the API server does not serve {path}"
        time.sleep(0.1)


def _applied(server, child):
    kind, name = BY_NAME[child["kind"]], child["metadata"]["name"]
    prefix = f"/apis/{kind.api_version}" if "/" in kind.api_version else "/api/v1"
    answer = server.client.patch(
        f"{prefix}/namespaces/{RESTRICTED}/{kind.plural}/{name}",
        params={"dryRun": "All", "fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=json.dumps(child),
    )
    return answer.json()


def _pod(child, template):
    # The StatefulSet's controller adds the volumes of its claims.
    claims = [
        {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "any"}}
        for claim in child["spec"].get("volumeClaimTemplates", [])
    ]
    spec = {**template["spec"], "volumes": [*template["spec"]["volumes"], *claims]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "a-pod"}, "spec": spec}
