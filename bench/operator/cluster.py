"""A cluster without machines: a real API server, Kubernetes' own controllers and scheduler, and kwok for the nodes."""

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
_NEEDED = {
    "etcd": "scripts/control-plane FOLDER",
    "kube-apiserver": "scripts/control-plane FOLDER",
    "kube-controller-manager": "scripts/control-plane FOLDER",
    "kube-scheduler": "a Kubernetes release's server binaries",
    "kwok": "a release of kubernetes-sigs/kwok",
}
_QUICK = ("--kube-api-qps=2000", "--kube-api-burst=2000")
"""Kubernetes' controllers hold themselves back to 20 to 50 requests a second by default, which would be what is
measured."""
_UNTAINTED = ("--disable-admission-plugins=TaintNodesByCondition",)
"""No controller is there that would take a new node's taint away."""
_NODES, _ROOM = 10, {"cpu": "100k", "memory": "1Pi", "pods": "100k"}


def check_programs() -> None:
    """Exits where a program is missing, saying where it comes from."""
    lines = [f"{name}: from {where}" for name, where in _NEEDED.items() if programs.find(name) is None]
    if lines:
        raise SystemExit("error: put these into the folder that KUBEBUILDER_ASSETS names:\n  " + "\n  ".join(lines))


@dataclass(frozen=True)
class Cluster:
    """`operator` is the kubeconfig of the user whose requests the audit log notes."""

    server: ApiServer
    audit: Audit
    operator: Path


@contextmanager
def running(folder: Path, code: Path) -> Iterator[Cluster]:
    """A cluster with pretended nodes and the CRD of the repository in `code`; stopped at the end."""
    (folder / "policy.json").write_text(json.dumps(policy("operator")))
    log = folder / "audit.log"
    auditing = (f"--audit-policy-file={folder}/policy.json", f"--audit-log-path={log}")
    server = ApiServer(folder, flags=(*auditing, *_UNTAINTED))
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        _prepare(server, yaml.safe_load((code / _CRD).read_text()))
        for command in _programs(server.kubeconfig):
            _start(stack, command, folder)
        config = server.write_kubeconfig(server.url, OPERATOR, folder / "operator.kubeconfig")
        yield Cluster(server, Audit(log), config)


def _programs(kubeconfig: Path) -> Iterator[list[str]]:
    controllers = ",".join(f"{each}-controller" for each in _CONTROLLERS)
    manager = [f"--controllers={controllers}", "--leader-elect=false", "--secure-port=0", *_QUICK]
    yield ["kube-controller-manager", f"--kubeconfig={kubeconfig}", *manager]
    yield ["kube-scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *_QUICK]
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
    _make(server, f"/apis/{group}/v1/clusterrolebindings", binding)
    _make(server, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    for number in range(_NODES):
        node = {"metadata": {"name": f"node-{number}"}, "status": {"capacity": _ROOM, "allocatable": _ROOM}}
        _make(server, "/api/v1/nodes", node)


def _make(server: ApiServer, path: str, body: dict[str, object]) -> None:
    response = server.request("POST", path, body)
    if response.get("kind") == "Status":
        raise SystemExit(f"error: {response.get('message')}")
