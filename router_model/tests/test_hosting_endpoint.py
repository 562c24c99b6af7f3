"""The endpoint of the hosted server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rl_router_model.hosting.endpoint import Endpoint, endpoint_of
from rl_router_model.hosting.options import Options


class Handler(BaseHTTPRequestHandler):
    """A server that requires the key `secret`, and lists two models."""

    def do_GET(self) -> None:
        is_known = self.headers["Authorization"] == "Bearer secret"
        self.send_response(200 if is_known else 401)
        self.end_headers()
        self.wfile.write(b'{"data": [{"id": "first"}, {"id": "second"}]}' if is_known else b"{}")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("options", "url", "flags"),
    [
        (Options(), "http://127.0.0.1:8000", ""),
        (Options(host="0.0.0.0"), "http://127.0.0.1:8000", ""),
        (Options(port=8002), "http://127.0.0.1:8002", " --hosted-port 8002"),
        (Options(host="::"), "http://[::1]:8000", " --router.base-url 'http://[::1]:8000/v1'"),
        (Options(host="10.0.0.5"), "http://10.0.0.5:8000", " --router.base-url http://10.0.0.5:8000/v1"),
        (
            Options(extra=("--ssl-certfile", "c.pem")),
            "https://127.0.0.1:8000",
            " --router.base-url https://127.0.0.1:8000/v1",
        ),
        (
            Options(extra=("--ssl-certfile=c.pem",)),
            "https://127.0.0.1:8000",
            " --router.base-url https://127.0.0.1:8000/v1",
        ),
    ],
)
def test_the_router_api_gets_the_flags_that_lead_to_the_server(options: Options, url: str, flags: str) -> None:
    endpoint = endpoint_of(options)
    assert (endpoint.url, endpoint.serving_flags) == (url, flags)


def test_a_server_is_called_with_its_key(port: int) -> None:
    endpoint = endpoint_of(Options(port=port, api_key="secret"))
    assert endpoint.is_healthy()
    assert endpoint.models() == ("first", "second")


def test_the_key_may_come_from_the_environment(port: int) -> None:
    assert endpoint_of(Options(port=port), inherited_key="secret").is_healthy()


def test_a_server_that_rejects_the_key_is_not_healthy_and_lists_nothing(port: int) -> None:
    endpoint = Endpoint("http", "127.0.0.1", port, "wrong")
    assert endpoint.accepts_connections()
    assert not endpoint.is_healthy()
    assert endpoint.models() == ()


def test_without_a_server_nothing_is_healthy() -> None:
    endpoint = Endpoint("http", "127.0.0.1", 9)
    assert not endpoint.accepts_connections()
    assert not endpoint.is_healthy()
