"""Syncs of Argo CD and Flux, and upgrades with Helm, on a real API server without controllers.

Argo CD and Flux themselves do not run. The tests apply the rendered objects with kubectl, in the order of Argo CD.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendered import CHART, NAMESPACE, ROOT, helm, needs_helm, of_kind, one, render

from fakes.cluster import programs
from fakes.cluster.control_plane import ApiServer, running
from fakes.cluster.optional_kinds import crd_of

pytestmark = needs_helm
Manifest = dict[str, Any]
EVERY_FIELD = yaml.safe_load((ROOT / "operator" / "tests" / "everything.yaml").read_text("utf-8"))["spec"]
VALUES = {
    "routerDeployment": {"create": True, "spec": EVERY_FIELD},
    "replicaCount": 2,
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "prometheus": {"servicemonitor": {"enabled": True}},
    "podLabels": {"team": "ml"},
}
SERVER_SIDE = ("--server-side", "--field-manager=argocd-controller")
EACH_APPLY = pytest.mark.parametrize("options", [(), SERVER_SIDE], ids=["three-way", "server-side"])


@dataclass
class Cluster:
    """An API server, and the programs that send requests to it as its administrator."""

    server: ApiServer
    folder: Path

    def kubectl(self, *arguments: str, objects: list[Manifest] | None = None) -> str:
        """Runs kubectl with the objects on its stdin, and returns its output. Fails if kubectl fails."""
        command = [programs.find("kubectl"), "--kubeconfig", str(self.server.kubeconfig), *arguments]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects or []})
        process = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    def helm(self, *arguments: str, values: Any = None) -> subprocess.CompletedProcess[str]:
        """Runs Helm in the namespace of the release."""
        options = ("--kubeconfig", str(self.server.kubeconfig), "--namespace", NAMESPACE)
        return helm(*arguments, *options, values=values)

    def run_job(self, job: Manifest) -> subprocess.CompletedProcess[str]:
        """Runs the command of a Job with the permissions of its service account."""
        pod = job["spec"]["template"]["spec"]
        token = self.kubectl("create", "token", pod["serviceAccountName"], "--namespace", NAMESPACE).strip()
        config = self.server.write_kubeconfig(self.server.url, token, self.folder / "job.kubeconfig")
        _, *arguments = pod["containers"][0]["command"]
        command, environment = [sys.executable, *arguments], {**os.environ, "KUBECONFIG": str(config)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def versions(self, objects: list[Manifest]) -> dict[str, str]:
        """Returns the resourceVersion of each object by its uid."""
        live = json.loads(self.kubectl("get", "--filename", "-", "--output", "json", objects=objects))
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in live["items"]}

    def replicas(self) -> str:
        """Returns the API replicas in the spec of the first router."""
        path = "jsonpath={.spec.api.replicas}"
        return self.kubectl("get", "rd/router", "--namespace", NAMESPACE, "--output", path)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that has the kind ServiceMonitor, and nothing of the chart."""
    programs.require(*programs.API_SERVER, "kubectl")
    with running(tmp_path) as server:
        fresh = Cluster(server, tmp_path)
        fresh.kubectl("create", "namespace", NAMESPACE)
        fresh.kubectl("create", "--filename", "-", objects=[crd_of("ServiceMonitor")])
        fresh.kubectl("wait", "--for=condition=Established", "crd", "--all")
        yield fresh


def _hook(manifest: Manifest) -> str | None:
    hook: str | None = (manifest["metadata"].get("annotations") or {}).get("helm.sh/hook")
    return hook


def _weight(manifest: Manifest) -> int:
    return int(manifest["metadata"]["annotations"]["helm.sh/hook-weight"])


def _pre_sync(objects: list[Manifest]) -> list[Manifest]:
    """Returns the objects that Argo CD applies first, in its order.

    Argo CD runs both hooks in every sync of the whole Application.
    """
    hooks = [manifest for manifest in objects if _hook(manifest) in ("pre-install", "pre-upgrade")]
    return sorted(hooks, key=_weight)


def _sync(objects: list[Manifest]) -> list[Manifest]:
    """Returns the objects that are not hooks, with the CRDs first."""
    plain = [manifest for manifest in objects if not _hook(manifest)]
    return sorted(plain, key=lambda manifest: manifest["kind"] != "CustomResourceDefinition")


def _rendered() -> list[Manifest]:
    return render(VALUES, "rl-router", "--include-crds")


def _run_pre_sync(cluster: Cluster, objects: list[Manifest]) -> None:
    for manifest in _pre_sync(objects):
        if manifest["kind"] == "Job":
            job = cluster.run_job(manifest)
            assert job.returncode == 0, job.stderr
        else:
            cluster.kubectl("apply", "--filename", "-", objects=[manifest])


@EACH_APPLY
def test_a_first_sync_installs_the_chart_and_a_second_sync_changes_nothing(
    cluster: Cluster, options: tuple[str, ...]
) -> None:
    objects = _rendered()
    apply, synced = ("apply", *options, "--filename", "-"), _sync(objects)
    _run_pre_sync(cluster, objects)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all")
    cluster.kubectl(*apply, objects=synced)
    before = cluster.versions(synced)
    _run_pre_sync(cluster, objects)
    assert cluster.kubectl("diff", *options, "--filename", "-", objects=synced) == ""
    cluster.kubectl(*apply, objects=synced)
    assert cluster.versions(synced) == before
    router = one(synced, "RouterDeployment")
    (live,) = json.loads(cluster.kubectl("get", "--filename", "-", "--output", "json", objects=[router]))["items"]
    assert _merge_patch(live["spec"], router["spec"]) == {}


def _merge_patch(live: Manifest, wanted: Manifest) -> Manifest:
    """Returns the JSON merge patch with which Argo CD compares a custom resource.

    The patch replaces lists as a whole, and leaves out fields that are null in the wanted object.
    """
    patch = {}
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            if below := _merge_patch(live[key], value):
                patch[key] = below
        elif value is not None and value != live.get(key):
            patch[key] = value
    return patch


def test_the_job_may_apply_only_its_own_crd(cluster: Cluster) -> None:
    objects = _rendered()
    _run_pre_sync(cluster, objects)
    (job,) = of_kind(objects, "Job")
    account = f"system:serviceaccount:{NAMESPACE}:{job['spec']['template']['spec']['serviceAccountName']}"
    crds, own = "customresourcedefinitions.apiextensions.k8s.io", "routerdeployments.rlrouter.dev"
    for verb, name, allowed in (
        ("create", own, True),
        ("patch", own, True),
        ("delete", own, False),
        ("create", "others.example.com", False),
        ("patch", "others.example.com", False),
    ):
        assert _may(cluster, account, verb, crds, name) is allowed, (verb, name)


def _may(cluster: Cluster, account: str, verb: str, resource: str, name: str) -> bool:
    group = resource.partition(".")[2]
    attributes = {"verb": verb, "group": group, "resource": resource.partition(".")[0], "name": name}
    review = {"spec": {"user": account, "resourceAttributes": attributes}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(cluster.server.request("POST", path, review)["status"]["allowed"])


def _install(cluster: Cluster, **spec: Any) -> None:
    values = {"routerDeployment": {"create": True, "spec": spec}}
    installed = cluster.helm("install", "rl-router", CHART, "--no-hooks", values=values)
    assert installed.returncode == 0, installed.stderr


def _upgrade(cluster: Cluster, *options: str) -> subprocess.CompletedProcess[str]:
    # No controller runs the Job of the hook.
    return cluster.helm("upgrade", "rl-router", CHART, "--no-hooks", "--reset-then-reuse-values", *options)


def test_an_upgrade_keeps_the_replicas_that_kubectl_has_set(cluster: Cluster) -> None:
    _install(cluster)
    cluster.kubectl("scale", "rd/router", "--replicas=3", "--namespace", NAMESPACE)
    upgraded = _upgrade(cluster, "--set", "logLevel=debug")
    assert upgraded.returncode == 0, upgraded.stderr
    assert cluster.replicas() == "3"


@pytest.mark.parametrize(
    ("options", "replicas"),
    [(("--set", "routerDeployment.spec.api.replicas=null"), "3"), (("--force-conflicts",), "2")],
    ids=["kubectl-keeps-the-field", "helm-takes-the-field"],
)
def test_a_conflict_about_the_replicas_can_be_solved(cluster: Cluster, options: tuple[str, ...], replicas: str) -> None:
    if helm("version", "--short").stdout.startswith("v3"):
        pytest.skip("Helm 3 applies client-side and reports no conflict")
    _install(cluster, api={"replicas": 2})
    cluster.kubectl("scale", "rd/router", "--replicas=3", "--namespace", NAMESPACE)
    conflict = _upgrade(cluster)
    assert 'conflict with "kubectl" with subresource "scale"' in conflict.stderr
    solved = _upgrade(cluster, *options)
    assert solved.returncode == 0, solved.stderr
    assert cluster.replicas() == replicas
