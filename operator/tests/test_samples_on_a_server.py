"""Every sample on a real API server.

The operator makes the children that a person reviewed, and no others. The API server takes each child as it is, and its
pods under Pod Security `restricted`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from accepted import lost, open_definition
from admission import DEFINITIONS
from control_plane import ApiServer
from eventually import eventually as wait_until
from faults import Proxy
from harness import Kube, Start, eventually
from prepared import prepared
from programs import API_SERVER, need
from rl_router_operator.changes.drift import is_applied
from rl_router_operator.changes.rollout import held_back
from rl_router_operator.objects.kinds import BY_NAME, KINDS
from rl_router_operator.objects.manifest import Manifest, Ref, ref_of
from rl_router_operator.objects.naming import FIELD_MANAGER, ROUTER_LABEL
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from test_golden import DEFAULTS, GOLDEN, SAMPLES

NO_UID = "00000000-0000-0000-0000-000000000000"
RESTRICTED = "restricted"
EVERYTHING = Path(__file__).with_name("everything.yaml")
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One that has every kind which the operator makes."""
    need(*API_SERVER)
    with prepared(tmp_path_factory.mktemp("samples")) as server:
        for kind in (each for each in KINDS if each.optional):
            server.client.post(DEFINITIONS, json=open_definition(kind)).raise_for_status()
            path = f"/apis/{kind.api_version}/{kind.plural}"
            wait_until(lambda path=path: server.client.get(path).status_code == 200, path)  # type: ignore[misc]
        server.client.post("/api/v1/namespaces", json=restricted_namespace()).raise_for_status()
        yield server


@pytest.fixture(params=[*SAMPLES, EVERYTHING], ids=lambda path: path.stem)
def taken(request: pytest.FixtureRequest, api_server: ApiServer) -> list[Manifest]:
    """The children of the sample as the API server stores it."""
    path = f"/apis/rlrouter.dev/v1alpha1/namespaces/{RESTRICTED}/routerdeployments?dryRun=All&fieldValidation=Strict"
    stored = api_server.ask("POST", path, body_of(request.param))
    assert stored["kind"] == "RouterDeployment", stored
    return list(desired(read(stored), DEFAULTS))


def test_every_child_is_taken_and_kept_as_it_is(api_server: ApiServer, taken: list[Manifest]) -> None:
    for child in taken:
        kept = applied(api_server, child)
        assert kept["kind"] == child["kind"], kept
        assert not list(lost(child, kept)), ref_of(child)


def test_every_pod_meets_pod_security_restricted(api_server: ApiServer, taken: list[Manifest]) -> None:
    for child in taken:
        if template := child.get("spec", {}).get("template"):
            pod = pod_of(child, template)
            made = api_server.ask("POST", f"/api/v1/namespaces/{RESTRICTED}/pods?dryRun=All", pod)
            assert made["kind"] == "Pod", made


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
async def test_a_sample_becomes_its_golden_children(kube: Kube, start: Start, proxy: Proxy, sample: Path) -> None:
    running = await start(defaults=DEFAULTS)
    router = await kube.create(body_of(sample))
    wanted = golden(sample, router)

    async def are_made() -> dict[Ref, Manifest]:
        found = await children(kube, router["metadata"]["name"])
        assert found.keys() == wanted.keys()
        return found

    for ref, live in (await eventually(are_made, within=20)).items():
        assert not list(lost(wanted[ref], live)), ref
        assert is_applied(wanted[ref], live), ref
        assert {each["manager"] for each in live["metadata"]["managedFields"]} == {FIELD_MANAGER}
    assert (await running.ask("/readyz")).text == "leader\n"
    assert not [seen for seen in proxy.requests if "/secrets" in seen.path]


@pytest.mark.parametrize("verb", VERBS)
def test_the_operator_that_makes_them_may_do_nothing_with_a_secret(api_server: ApiServer, verb: str) -> None:
    attributes = {"verb": verb, "resource": "secrets", "namespace": "any"}
    review = {"spec": {"user": "operator", "groups": ["operators"], "resourceAttributes": attributes}}
    answer = api_server.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer["status"]["allowed"] is False


def body_of(sample: Path) -> Manifest:
    body: Manifest = yaml.safe_load(sample.read_text())
    return body


def golden(sample: Path, router: Manifest) -> dict[Ref, Manifest]:
    """The reviewed children, as those of this very RouterDeployment."""
    text = (GOLDEN / sample.name).read_text().replace(NO_UID, router["metadata"]["uid"])
    text = re.sub("(?<=[:-] )default$", router["metadata"]["namespace"], text, flags=re.MULTILINE)
    found = {}
    for child in yaml.safe_load_all(text):
        # What is kept of a roll-out that may have to be held back is no part of what is wanted.
        found[ref_of(child)] = held_back(child, None) if child["kind"] == "StatefulSet" else child
    return found


async def children(kube: Kube, name: str) -> dict[Ref, Any]:
    """Everything that is labelled as of a RouterDeployment."""
    found = {}
    for kind in KINDS:
        for each in await kube.list(kind.kind, f"{ROUTER_LABEL}={name}"):
            body = {"apiVersion": kind.api_version, "kind": kind.kind, **each}
            found[ref_of(body)] = body
    return found


def restricted_namespace() -> Manifest:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RESTRICTED, "labels": labels}}


def applied(server: ApiServer, child: Manifest) -> Any:
    """What the API server would keep of the child, or its refusal."""
    kind, name = BY_NAME[child["kind"]], child["metadata"]["name"]
    prefix = f"/apis/{kind.api_version}" if "/" in kind.api_version else "/api/v1"
    answer = server.client.patch(
        f"{prefix}/namespaces/{RESTRICTED}/{kind.plural}/{name}",
        params={"dryRun": "All", "fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=json.dumps(child),
    )
    return answer.json()


def pod_of(child: Manifest, template: Manifest) -> Manifest:
    # The StatefulSet's controller adds the volumes of its claims.
    claims = [
        {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "any"}}
        for claim in child["spec"].get("volumeClaimTemplates", [])
    ]
    spec = {**template["spec"], "volumes": [*template["spec"]["volumes"], *claims]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "a-pod"}, "spec": spec}
