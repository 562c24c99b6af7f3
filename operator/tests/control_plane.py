"""A real API server for tests: etcd and kube-apiserver alone, on this machine's own addresses."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

ADMIN, OPERATOR, RESTRICTED = "admin-token", "operator-token", "restricted-token"
_TOKENS = f"""{ADMIN},admin,1,"system:masters"
{OPERATOR},operator,2,"operators"
{RESTRICTED},restricted,3,"operators"
"""
_START_SECONDS = 60


def program(name: str) -> str | None:
    """Where a program lies, if anywhere."""
    folder = os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin")
    return shutil.which(name, path=folder) or shutil.which(name)


@contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """One with its data under `folder`, stopped at the end."""
    server = ApiServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ApiServer:
    """One API server and its etcd, whose data outlive the API server's process; `flags` are further ones of its."""

    folder: Path
    flags: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    _etcd_port: int = field(default_factory=free_port)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "certs/apiserver.crt"))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    @cached_property
    def client(self) -> httpx.Client:
        """The administrator's."""
        return httpx.Client(base_url=self.url, verify=self.tls, headers=authorization(ADMIN), timeout=30)

    @cached_property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.write_kubeconfig(self.url, ADMIN, self.folder / "kubeconfig")

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The answer's JSON, whatever its status: a refusal is a Status."""
        return dict(self.client.request(method, path, json=body).json())

    def start(self) -> None:
        (self.folder / "tokens.csv").write_text(_TOKENS)
        key = str(self.folder / "accounts.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self._run(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{self._etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{self._etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{free_port()}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )
        self.start_api_server()

    def start_api_server(self) -> None:
        """Starts the API server, again after `kill_api_server`."""
        key = self.folder / "accounts.key"
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder}/certs",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://tests",
            f"--token-auth-file={self.folder}/tokens.csv",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--watch-cache=true",
            *self.flags,
        )
        self._await_ready()

    def kill_api_server(self) -> None:
        """Ends the API server's process at once."""
        self._end("kube-apiserver", kill=True)

    def stop(self) -> None:
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self._end(name)
        self.client.close()

    def start_garbage_collector(self) -> None:
        """Starts the collector and the namespaces' controller."""
        self.start_controllers("garbage-collector", "namespace")

    def start_controllers(self, *names: str) -> None:
        """Starts some of Kubernetes' own controllers."""
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(f'{name}-controller' for name in names)}",
            "--leader-elect=false",
            "--secure-port=0",
        )

    def stop_garbage_collector(self) -> None:
        self._end("kube-controller-manager")

    def write_kubeconfig(self, url: str, token: str, path: Path) -> Path:
        """Writes a kubeconfig that reaches the API server, at `url`, by a token."""
        cluster: dict[str, str] = {"server": url}
        if url.startswith("https"):
            cluster["certificate-authority"] = str(self.folder / "certs/apiserver.crt")
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }
        path.write_text(json.dumps(content))
        return path

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(program(name)), *arguments], stdout=log, stderr=log, start_new_session=True
            )

    def _end(self, name: str, *, kill: bool = False) -> None:
        if process := self._running.pop(name, None):
            if kill:
                process.kill()
            else:
                process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self._running["kube-apiserver"].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the API server did not start: {self.folder}/kube-apiserver.log")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        if not (self.folder / "certs/apiserver.crt").is_file():
            return False
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False


def authorization(token: str) -> dict[str, str]:
    """The header by which a token is shown."""
    return {"Authorization": f"Bearer {token}"}
