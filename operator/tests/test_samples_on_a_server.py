"""Every sample on a real API server.

The operator creates exactly the golden children. The API server stores each child unchanged, and admits its pods under
Pod Security `restricted`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rl_router_operator.changes.drift import is_applied
from rl_router_operator.changes.rollout import held_back
from rl_router_operator.objects.kinds import BY_NAME, KINDS
from rl_router_operator.objects.manifest import Manifest, Ref, ref_of
from rl_router_operator.objects.naming import FIELD_MANAGER, ROUTER_LABEL
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.schema.quantity import amount

from fakes.cluster.admission import CRDS
from fakes.cluster.control_plane import ApiServer
from fakes.cluster.installation import installed
from fakes.cluster.kube_client import Kube
from fakes.cluster.optional_kinds import crd_of
from fakes.cluster.programs import API_SERVER, require
from fakes.cluster.proxy import Proxy
from fakes.cluster.running_operator import Start
from fakes.cluster.samples import DEFAULTS, GOLDEN, SAMPLES
from fakes.cluster.waiting import eventually, wait_until

NO_UID = "00000000-0000-0000-0000-000000000000"
RESTRICTED = "restricted"
EVERYTHING = Path(__file__).with_name("everything.yaml")
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that serves all kinds of children."""
    require(*API_SERVER)
    with installed(tmp_path_factory.mktemp("samples")) as server:
        for kind in (kind for kind in KINDS if kind.optional):
            server.client.post(CRDS, json=crd_of(kind.kind)).raise_for_status()
            path = f"/apis/{kind.api_version}/{kind.plural}"
            wait_until(lambda path=path: server.client.get(path).status_code == 200, path)  # type: ignore[misc]
        server.client.post("/api/v1/namespaces", json=restricted_namespace()).raise_for_status()
        yield server


@pytest.fixture(params=[*SAMPLES, EVERYTHING], ids=lambda path: path.stem)
def children(request: pytest.FixtureRequest, api_server: ApiServer) -> list[Manifest]:
    """The children of a sample, built from the sample as the API server stores it."""
    path = f"/apis/rlrouter.dev/v1alpha1/namespaces/{RESTRICTED}/routerdeployments?dryRun=All&fieldValidation=Strict"
    stored = api_server.request("POST", path, body_of(request.param))
    assert stored["kind"] == "RouterDeployment", stored
    return list(desired(read(stored), DEFAULTS))


def test_the_api_server_stores_every_child_unchanged(api_server: ApiServer, children: list[Manifest]) -> None:
    for child in children:
        stored = applied(api_server, child)
        assert stored["kind"] == child["kind"], stored
        assert not list(changed_paths(child, stored)), ref_of(child)


def test_every_pod_meets_pod_security_restricted(api_server: ApiServer, children: list[Manifest]) -> None:
    for child in children:
        if template := child.get("spec", {}).get("template"):
            pod = pod_of(child, template)
            created = api_server.request("POST", f"/api/v1/namespaces/{RESTRICTED}/pods?dryRun=All", pod)
            assert created["kind"] == "Pod", created


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
async def test_the_operator_creates_exactly_the_golden_children_of_a_sample(
    kube: Kube, start: Start, proxy: Proxy, sample: Path
) -> None:
    running = await start(defaults=DEFAULTS)
    router = await kube.create(body_of(sample))
    expected = golden(sample, router)

    async def created() -> dict[Ref, Manifest]:
        existing = await labelled(kube, router["metadata"]["name"])
        assert existing.keys() == expected.keys()
        return existing

    for ref, live in (await eventually(created, within=20)).items():
        assert not list(changed_paths(expected[ref], live)), ref
        assert is_applied(expected[ref], live), ref
        assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {FIELD_MANAGER}
    assert (await running.get("/readyz")).text == "leader\n"
    assert not [request for request in proxy.requests if "/secrets" in request.path]


@pytest.mark.parametrize("verb", VERBS)
def test_the_operator_has_no_permission_for_secrets(api_server: ApiServer, verb: str) -> None:
    attributes = {"verb": verb, "resource": "secrets", "namespace": "any"}
    review = {"spec": {"user": "operator", "groups": ["operators"], "resourceAttributes": attributes}}
    response = api_server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert response["status"]["allowed"] is False


def body_of(sample: Path) -> Manifest:
    body: Manifest = yaml.safe_load(sample.read_text())
    return body


def golden(sample: Path, router: Manifest) -> dict[Ref, Manifest]:
    """Returns the golden children with the uid and namespace of `router`."""
    text = (GOLDEN / sample.name).read_text().replace(NO_UID, router["metadata"]["uid"])
    text = re.sub("(?<=[:-] )default$", router["metadata"]["namespace"], text, flags=re.MULTILINE)
    children = {}
    for child in yaml.safe_load_all(text):
        # The golden manifest lacks the annotation with which the operator holds back a rollout.
        children[ref_of(child)] = held_back(child, None) if child["kind"] == "StatefulSet" else child
    return children


async def labelled(kube: Kube, name: str) -> dict[Ref, Any]:
    """Returns all objects with the label of a RouterDeployment."""
    objects = {}
    for kind in KINDS:
        for item in await kube.list(kind.kind, f"{ROUTER_LABEL}={name}"):
            body = {"apiVersion": kind.api_version, "kind": kind.kind, **item}
            objects[ref_of(body)] = body
    return objects


def restricted_namespace() -> Manifest:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RESTRICTED, "labels": labels}}


def applied(server: ApiServer, child: Manifest) -> Any:
    """Returns the response to a dry run of an apply: the object as it would be stored, or a Status."""
    kind, name = BY_NAME[child["kind"]], child["metadata"]["name"]
    prefix = f"/apis/{kind.api_version}" if "/" in kind.api_version else "/api/v1"
    response = server.client.patch(
        f"{prefix}/namespaces/{RESTRICTED}/{kind.plural}/{name}",
        params={"dryRun": "All", "fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=json.dumps(child),
    )
    return response.json()


def changed_paths(applied: Any, stored: Any, path: str = "") -> Iterator[str]:
    """Yields the paths of the applied values that were stored with another value. Equal quantities do not count."""
    if isinstance(applied, dict) and isinstance(stored, dict):
        for name, value in applied.items():
            yield from changed_paths(value, stored.get(name), f"{path}.{name}")
    elif isinstance(applied, list) and isinstance(stored, list) and len(applied) == len(stored):
        for index, value in enumerate(applied):
            yield from changed_paths(value, stored[index], f"{path}[{index}]")
    elif applied != stored and not _is_same_quantity(applied, stored):
        yield path


def _is_same_quantity(applied: Any, stored: Any) -> bool:
    try:
        return amount(applied) == amount(stored)
    except ValueError:
        return False


def pod_of(child: Manifest, template: Manifest) -> Manifest:
    """Returns a pod of the template."""
    # The StatefulSet controller adds the volumes of the PVCs.
    pvcs = [
        {"name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": "any"}}
        for template in child["spec"].get("volumeClaimTemplates", [])
    ]
    spec = {**template["spec"], "volumes": [*template["spec"]["volumes"], *pvcs]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "a-pod"}, "spec": spec}
