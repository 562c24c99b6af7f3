"""A model on a hub is downloaded once and completely, and only the hub gets the token."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rl_router_model import hub
from rl_router_model.problem import ExitCode, StartError

MODEL = b"GGUF" + bytes(2_000_000)


class Hub(ThreadingHTTPServer):
    """A hub that redirects to file storage, as the real hub does. `asked` has each request's path and token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.status = 302
        self.missing = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        if self.path.startswith("/store/"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(MODEL)))
            self.end_headers()
            self.wfile.write(MODEL[self.server.missing :])
            return
        self.send_response(self.server.status)
        self.send_header("Location", f"/store{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Disables the log."""


@pytest.fixture
def server() -> Iterator[Hub]:
    with Hub() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(server: Hub, home: Path, model: str, **environment: str) -> Path:
    return hub.fetch(hub.read(model), {"HF_HOME": str(home), "HF_ENDPOINT": server.url, **environment})


def test_a_model_is_downloaded_completely_and_once(server: Hub, tmp_path: Path) -> None:
    path = fetch(server, tmp_path, "hf://acme/router-GGUF/router-Q4.gguf")
    assert path.read_bytes() == MODEL
    assert server.asked[0][0] == "/acme/router-GGUF/resolve/main/router-Q4.gguf"
    server.asked.clear()
    assert fetch(server, tmp_path, "hf://acme/router-GGUF/router-Q4.gguf") == path
    assert server.asked == []


def test_a_revision_is_another_file(server: Hub, tmp_path: Path) -> None:
    main = fetch(server, tmp_path, "hf://acme/router-GGUF/router.gguf")
    assert fetch(server, tmp_path, "hf://acme/router-GGUF@v1.2/router.gguf") != main
    assert "/acme/router-GGUF/resolve/v1.2/router.gguf" in [path for path, _ in server.asked]


def test_the_token_goes_to_the_hub_and_not_to_the_store_it_redirects_to(server: Hub, tmp_path: Path) -> None:
    fetch(server, tmp_path, "hf://acme/router-GGUF/router.gguf", HF_TOKEN="hf_secret")
    assert [token for _, token in server.asked] == ["Bearer hf_secret", None]


def test_a_model_in_parts_is_fetched_with_all_of_them(server: Hub, tmp_path: Path) -> None:
    path = fetch(server, tmp_path, "hf://acme/big/q4/m-00001-of-00003.gguf")
    assert [file.name for file in sorted(path.parent.iterdir())] == [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, ExitCode.HUB_UNAUTHORIZED, "set HF_TOKEN to a token with access"),
        (403, ExitCode.HUB_FORBIDDEN, "set HF_TOKEN to a token with access"),
        (404, ExitCode.HUB_NOT_FOUND, "check the repository"),
        (503, ExitCode.HUB_FAILED, "try again later"),
    ],
)
def test_the_hubs_refusal_has_an_exit_code_and_names_the_remedy(
    server: Hub, tmp_path: Path, status: int, code: ExitCode, remedy: str
) -> None:
    server.status = status
    with pytest.raises(StartError, match=rf"{server.url} .*\b{status}\b.*{remedy}") as refused:
        fetch(server, tmp_path, "hf://acme/router/m.gguf")
    assert refused.value.code == code


def test_an_incomplete_download_is_an_error(server: Hub, tmp_path: Path) -> None:
    server.missing = 1_000
    with pytest.raises(StartError, match=r"the connection ended after 1999004 of 2000004 bytes"):
        fetch(server, tmp_path, "hf://acme/router/m.gguf")
    server.missing = 0
    assert fetch(server, tmp_path, "hf://acme/router/m.gguf").read_bytes() == MODEL


def test_the_hub_is_not_called_offline(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="HF_HUB_OFFLINE is set"):
        fetch(server, tmp_path, "hf://acme/router/m.gguf", HF_HUB_OFFLINE="1")
    assert server.asked == []


def test_the_error_names_an_unreachable_hub(tmp_path: Path) -> None:
    environment = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:1"}
    with pytest.raises(StartError, match=r"cannot be downloaded from http://127\.0\.0\.1:1: .*refused"):
        hub.fetch(hub.read("hf://acme/router/m.gguf"), environment)


def test_a_repository_without_a_file_is_refused() -> None:
    with pytest.raises(StartError, match=r"does not name a GGUF file on the hub: use hf://"):
        hub.read("hf://acme/router")
