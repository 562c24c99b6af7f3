"""A real API server for tests: etcd and kube-apiserver on loopback addresses."""

from __future__ import annotations

import json
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

from ..ports import free_port
from . import programs

ADMIN, OPERATOR, RESTRICTED = "admin-token", "operator-token", "restricted-token"
_TOKENS = f"""{ADMIN},admin,1,"system:masters"
{OPERATOR},operator,2,"operators"
{RESTRICTED},restricted,3,"operators"
"""
_START_SECONDS = 60


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[ApiServer]:
    """Runs an API server with the additional flags `flags` until the context ends.

    The folder `folder` contains the API server's data.
    """
    server = ApiServer(folder, flags)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@dataclass
class ApiServer:
    """An API server and an etcd server. The etcd server keeps the data if a test kills the API server.

    The attribute `flags` contains additional flags of the API server.
    """

    folder: Path
    flags: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    _etcd_port: int = field(default_factory=free_port)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Returns the base URL of the API server."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def tls(self) -> ssl.SSLContext:
        """Returns a TLS context that trusts the API server's certificate."""
        context = ssl.create_default_context(cafile=str(self.folder / "certs/apiserver.crt"))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    @cached_property
    def client(self) -> httpx.Client:
        """Returns an HTTP client that sends the administrator's token to the API server."""
        return httpx.Client(base_url=self.url, verify=self.tls, headers=authorization(ADMIN), timeout=30)

    @cached_property
    def kubeconfig(self) -> Path:
        """Writes the administrator's kubeconfig file at the first use, and returns the path of the file."""
        return self.write_kubeconfig(self.url, ADMIN, self.folder / "kubeconfig")

    def request(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Sends a request to the API server as the administrator, and returns the JSON of the response.

        If the API server rejects the request, the JSON of the response is a Status.
        """
        return dict(self.client.request(method, path, json=body).json())

    def start(self) -> None:
        """Starts etcd and the API server, and waits until the API server is ready."""
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
        """Starts the API server and waits until the API server is ready.

        Tests also call this method after `kill_api_server`, to restart the API server.
        """
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
        """Sends SIGKILL to the API server, and waits until the API server has ended."""
        self._end("kube-apiserver", kill=True)

    def stop(self) -> None:
        """Stops the controllers, the API server and the etcd server."""
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self._end(name)
        self.client.close()

    def start_garbage_collector(self) -> None:
        """Starts the garbage collector and the namespace controller."""
        self.start_controllers("garbage-collector", "namespace")

    def start_controllers(self, *names: str) -> None:
        """Starts kube-controller-manager with the controllers in `names`.

        The controllers' names in `names` do not include the suffix `-controller`.
        """
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(f'{name}-controller' for name in names)}",
            "--leader-elect=false",
            "--secure-port=0",
        )

    def stop_garbage_collector(self) -> None:
        """Stops kube-controller-manager."""
        self._end("kube-controller-manager")

    def write_kubeconfig(self, url: str, token: str, path: Path) -> Path:
        """Writes a kubeconfig file with the server URL `url` and the token `token`, and returns the file's path."""
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
                [str(programs.find(name)), *arguments], stdout=log, stderr=log, start_new_session=True
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
                raise RuntimeError(f"the API server did not start. Read the log {self.folder}/kube-apiserver.log")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        if not (self.folder / "certs/apiserver.crt").is_file():
            return False
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False


def authorization(token: str) -> dict[str, str]:
    """Returns the HTTP header that authenticates a request with the token `token`."""
    return {"Authorization": f"Bearer {token}"}
