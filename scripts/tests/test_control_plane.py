"""scripts/control-plane downloads and verifies the programs that the operator's tests need."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "control-plane"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kubectl")
pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() not in ARCHITECTURES,
    reason="the programs are published only for Linux on amd64 and arm64",
)


class Mirror:
    """A local mirror of the files that Kubernetes and etcd publish.

    The parameter `folder` is the root of the mirror's web server.
    """

    def __init__(self, folder: Path, port: int) -> None:
        text = SCRIPT.read_text()
        kubernetes, etcd = (text.partition(f"{name}=")[2].split()[0] for name in ("KUBERNETES", "ETCD"))
        architecture = ARCHITECTURES[platform.machine()]
        self.url = f"http://127.0.0.1:{port}"
        self.programs = folder / "kubernetes" / kubernetes / "bin" / "linux" / architecture
        self.programs.mkdir(parents=True)
        for name in KUBERNETES:
            self.publish(name, f"#!/bin/sh\necho {name}\n")
        self._publish_etcd(folder / "etcd" / etcd, f"etcd-{etcd}-linux-{architecture}")

    def publish(self, name: str, content: str) -> None:
        (self.programs / name).write_text(content)
        digest = hashlib.sha256(content.encode()).hexdigest()
        (self.programs / f"{name}.sha256").write_text(digest)

    def download(self, to: Path) -> subprocess.CompletedProcess[str]:
        """Runs scripts/control-plane, which downloads the programs from the mirror into the folder `to`."""
        mirrors = {"KUBERNETES_MIRROR": f"{self.url}/kubernetes", "ETCD_MIRROR": f"{self.url}/etcd"}
        return subprocess.run(
            [SCRIPT, to],
            env={**os.environ, "no_proxy": "127.0.0.1", **mirrors},
            capture_output=True,
            text=True,
            check=False,
        )

    def _publish_etcd(self, folder: Path, name: str) -> None:
        (folder / name).mkdir(parents=True)
        program = folder / name / "etcd"
        program.write_text("#!/bin/sh\necho etcd\n")
        program.chmod(0o755)
        archive = folder / f"{name}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder / name, name)
        (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n")


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    folder = tmp_path / "mirror"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Mirror(folder, server.server_address[1])
        server.shutdown()


def test_every_program_is_downloaded_and_runs(mirror: Mirror, tmp_path: Path) -> None:
    process = mirror.download(tmp_path / "bin")
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"KUBEBUILDER_ASSETS={tmp_path / 'bin'}\n"
    assert sorted(path.name for path in (tmp_path / "bin").iterdir()) == ["etcd", *KUBERNETES]
    for path in (tmp_path / "bin").iterdir():
        assert subprocess.run([path], capture_output=True, text=True, check=True).stdout == f"{path.name}\n"


def test_a_program_with_a_wrong_checksum_is_an_error(mirror: Mirror, tmp_path: Path) -> None:
    (mirror.programs / "kubectl").write_text("something else")
    process = mirror.download(tmp_path / "bin")
    assert process.returncode == 1
    assert "error: kubectl does not have the published checksum: download it again" in process.stderr


def test_the_error_about_a_missing_program_has_its_url(mirror: Mirror, tmp_path: Path) -> None:
    (mirror.programs / "kube-apiserver").unlink()
    process = mirror.download(tmp_path / "bin")
    assert process.returncode == 1
    assert f"error: {mirror.url}/kubernetes/" in process.stderr
