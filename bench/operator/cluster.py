"""Runs a cluster without machines.

The API server, the controllers and the scheduler are real programs of Kubernetes. The program kwok simulates the nodes
and the pods.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from audit import Audit, policy

from fakes.cluster import programs
from fakes.cluster.control_plane import OPERATOR, ApiServer

_CRD = Path("crds/routerdeployments.rlrouter.dev.yaml")
STAGES = Path(__file__).with_name("stages.yaml")
_CONTROLLERS = ("deployment", "replicaset", "statefulset", "disruption", "garbage-collector", "namespace")
_SOURCES = {
    "etcd": "scripts/control-plane FOLDER",
    "kube-apiserver": "scripts/control-plane FOLDER",
    "kube-controller-manager": "scripts/control-plane FOLDER",
    "kube-scheduler": "the server binaries of a Kubernetes release",
    "kwok": "a release of kubernetes-sigs/kwok",
}
_HIGH_RATE = ("--kube-api-qps=2000", "--kube-api-burst=2000")
"""Flags that raise the request limits of the controllers and of the scheduler.

The default limits of 20 to 50 requests per second would distort the measurements.
"""
_NO_TAINTS = ("--disable-admission-plugins=TaintNodesByCondition",)
"""The flags with which new nodes get no taints. The controller that removes taints from ready nodes does not run."""
_NODES, _CAPACITY = 10, {"cpu": "100k", "memory": "1Pi", "pods": "100k"}


def check_programs() -> None:
    """Exits with an error message if a program is missing. The message says where to get each missing program."""
    missing = [f"{name} (from {source})" for name, source in _SOURCES.items() if programs.find(name) is None]
    if missing:
        remedy = "Copy the programs to the folder that KUBEBUILDER_ASSETS names, or to a folder of the PATH"
        raise SystemExit(f"error: programs are missing: {', '.join(missing)}. {remedy}")


@dataclass(frozen=True)
class Cluster:
    """A running cluster. The audit log contains only requests made with the kubeconfig file `operator`."""

    server: ApiServer
    audit: Audit
    operator: Path


@contextmanager
def running(folder: Path, code: Path) -> Iterator[Cluster]:
    """Runs a cluster with simulated nodes and the CRD of the repository in `code`, until the context ends."""
    (folder / "policy.json").write_text(json.dumps(policy("operator")))
    log = folder / "audit.log"
    auditing = (f"--audit-policy-file={folder}/policy.json", f"--audit-log-path={log}")
    server = ApiServer(folder, flags=(*auditing, *_NO_TAINTS))
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        _prepare(server, yaml.safe_load((code / _CRD).read_text()))
        for command in _programs(server.kubeconfig):
            _start(stack, command, folder)
        config = server.write_kubeconfig(server.url, OPERATOR, folder / "operator.kubeconfig")
        yield Cluster(server, Audit(log), config)


def _programs(kubeconfig: Path) -> Iterator[list[str]]:
    controllers = ",".join(f"{name}-controller" for name in _CONTROLLERS)
    manager = [f"--controllers={controllers}", "--leader-elect=false", "--secure-port=0", *_HIGH_RATE]
    yield ["kube-controller-manager", f"--kubeconfig={kubeconfig}", *manager]
    yield ["kube-scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *_HIGH_RATE]
    nodes = ["--manage-all-nodes=true", "--node-lease-duration-seconds=40"]
    yield ["kwok", "--kubeconfig", str(kubeconfig), "--config", str(STAGES), *nodes]


def _start(stack: ExitStack, command: list[str], folder: Path) -> None:
    with (folder / f"{command[0]}.log").open("ab") as log:
        program = [str(programs.find(command[0])), *command[1:]]
        process = subprocess.Popen(program, stdout=log, stderr=log, start_new_session=True)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def _prepare(server: ApiServer, crd: dict[str, object]) -> None:
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "operator"}],
    }
    _create(server, f"/apis/{group}/v1/clusterrolebindings", binding)
    _create(server, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    for number in range(_NODES):
        node = {"metadata": {"name": f"node-{number}"}, "status": {"capacity": _CAPACITY, "allocatable": _CAPACITY}}
        _create(server, "/api/v1/nodes", node)


def _create(server: ApiServer, path: str, body: dict[str, object]) -> None:
    response = server.request("POST", path, body)
    if response.get("kind") == "Status":
        remedy = "Fix the CRD, or the object in bench/operator/cluster.py"
        raise SystemExit(f"error: the API server rejected POST {path}: {response.get('message')}. {remedy}")
