"""A real API server for tests: etcd and kube-apiserver alone, on this machine's own addresses."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 60
_TOKEN = "test"
_NEEDED = ("etcd", "kube-apiserver")


@dataclass(frozen=True)
class ApiServer:
    """A running one; `kubeconfig` is the administrator's."""

    url: str
    kubeconfig: Path
    client: httpx.Client

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The answer's JSON, whatever its status: a refusal is a Status."""
        return self.client.request(method, path, json=body, timeout=30).json()


def missing() -> str | None:
    """What stands in the way of one, as a sentence."""
    absent = [name for name in _NEEDED if not program(name)]
    return f"{' and '.join(absent)} not found: set KUBEBUILDER_ASSETS to their folder" if absent else None


@contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """One with its data under `folder`, stopped at the end."""
    etcd, port, peer = (f"http://127.0.0.1:{_free_port()}", _free_port(), f"http://127.0.0.1:{_free_port()}")
    _write_credentials(folder)
    with ExitStack() as stack:
        stack.enter_context(_process(_etcd(folder, etcd, peer), folder / "etcd.log"))
        api = stack.enter_context(_process(_api_server(folder, etcd, port), folder / "api-server.log"))
        client = stack.enter_context(
            httpx.Client(
                base_url=f"https://127.0.0.1:{port}", verify=False, headers={"Authorization": f"Bearer {_TOKEN}"}
            )
        )
        _await_ready(client, api, folder / "api-server.log")
        yield ApiServer(str(client.base_url), _write_kubeconfig(folder, str(client.base_url)), client)


def program(name: str) -> str | None:
    """Where a program lies, if anywhere."""
    return shutil.which(name, path=os.environ.get("KUBEBUILDER_ASSETS")) or shutil.which(name)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _etcd(folder: Path, url: str, peer: str) -> list[str]:
    return [
        *(str(program("etcd")), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
        *("--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
    ]


def _api_server(folder: Path, etcd: str, port: int) -> list[str]:
    key = str(folder / "service-accounts.key")
    return [
        *(str(program("kube-apiserver")), "--etcd-servers", etcd, "--secure-port", str(port)),
        *("--bind-address", "127.0.0.1", "--cert-dir", str(folder / "certificates")),
        *("--token-auth-file", str(folder / "tokens.csv"), "--authorization-mode", "RBAC"),
        *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key),
        *("--service-account-signing-key-file", key, "--service-cluster-ip-range", "10.96.0.0/16"),
        *("--disable-admission-plugins", "ServiceAccount"),
    ]


def _write_credentials(folder: Path) -> None:
    (folder / "tokens.csv").write_text(f"{_TOKEN},admin,admin,system:masters\n")
    key = ["openssl", "genrsa", "-out", str(folder / "service-accounts.key"), "2048"]
    subprocess.run(key, check=True, capture_output=True, timeout=60)


def _write_kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
        f'clusters: [{{name: test, cluster: {{server: "{url}", insecure-skip-tls-verify: true}}}}]\n'
        f"users: [{{name: test, user: {{token: {_TOKEN}}}}}]\n"
        "contexts: [{name: test, context: {cluster: test, user: test}}]\n"
    )
    return path


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(client):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the API server did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
