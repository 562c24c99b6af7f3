"""Addresses of both IP families: where the server listens, and how it reaches upstreams."""

from __future__ import annotations

import socket

import pytest
from pydantic import ValidationError
from rl_router_api.config import Server, is_loopback
from rl_router_api.errors import ListenError
from rl_router_api.server.listen import listen

from fakes.testbed.configuration import router_section, target
from fakes.testbed.program import Programs, port_fields
from fakes.testbed.requests import QUESTION
from fakes.testbed.router import Testbed
from fakes.upstreams.ipv6 import requires_ipv6

pytestmark = requires_ipv6
IPV4, IPV6 = "127.0.0.1", "::1"


def accepts(port: int, address: str) -> bool:
    """Returns whether the port of an address accepts a connection."""
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except ConnectionRefusedError:
        return False


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", {IPV4}),
        ("0.0.0.0", {IPV4}),
        ("::1", {IPV6}),
        ("[::1]", {IPV6}),
        ("0:0:0:0:0:0:0:1", {IPV6}),
        ("::", {IPV4, IPV6}),
        ("[::]", {IPV4, IPV6}),
        ("::ffff:127.0.0.1", {IPV4}),
        ("localhost", {IPV4}),
    ],
)
def test_the_api_and_the_admin_port_listen_on_the_addresses_of_their_hosts(host: str, reached: set[str]) -> None:
    sockets = listen(Server(host=host, admin_host=host, **port_fields()))
    try:
        for listener in sockets:
            port = listener.getsockname()[1]
            assert {address for address in (IPV4, IPV6) if accepts(port, address)} == reached
    finally:
        for listener in sockets:
            listener.close()
    assert len(sockets) == 2


@pytest.mark.parametrize(("host", "family"), [("::", socket.AF_INET6), ("0.0.0.0", socket.AF_INET)])
def test_the_port_of_another_server_is_reported_for_each_family(host: str, family: socket.AddressFamily) -> None:
    with socket.create_server((host, 0), family=family) as taken:
        shown = f"[{host}]" if ":" in host else host
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as refused:
            listen(Server(host=host, port=port, admin_port=0))
    assert str(refused.value).startswith(f"{shown}:{port} is in use. ")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70, "192.0.2.1", "2001:db8::1"])
def test_a_host_that_this_machine_does_not_have_is_an_error_with_the_flag(host: str) -> None:
    with pytest.raises(ListenError, match=r"cannot be used .* Choose another address with --host or --serve-port"):
        listen(Server(host=host, port=0))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8800", "[::1]:8800", "[::1", "::1]", "[localhost]", "[127.0.0.1]", "1::2::3", ":::", "[]", "a:b"],
)
def test_a_host_with_a_port_or_wrong_brackets_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match=r"Use an address such as 127\.0\.0\.1 or ::1, without a port"):
        Server(host=host)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("::", False),
        ("0.0.0.0", False),
        ("::ffff:192.0.2.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("192.0.2.1", False),
        ("localhost.example", False),
    ],
)
def test_only_loopback_addresses_and_localhost_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


async def test_every_worker_serves_both_families_and_the_printed_url_has_brackets(
    testbed: Testbed, programs: Programs
) -> None:
    model, alpha = await testbed.upstream(host=IPV6), await testbed.upstream(host=IPV6)
    program = await programs.start(
        {
            "router": router_section(model.url),
            "targets": [target("alpha", alpha.url)],
            "server": {"host": "[::]", "admin_host": "[::]", "workers": 2},
        }
    )
    for address in ("127.0.0.1", "[::1]"):
        for port in (program.port, program.admin_port):
            health = await program.client.get(f"http://{address}:{port}/health")
            assert health.status_code == 200, (address, port)
        answered = await program.client.post(
            f"http://{address}:{program.port}/v1/chat/completions", json={"model": "router", "messages": QUESTION}
        )
        assert answered.status_code == 200, address
    assert f"on http://[::]:{program.port}/v1" in program.errors


@pytest.mark.parametrize("stream", [False, True])
async def test_upstreams_with_ipv6_addresses_get_requests_whose_host_header_has_brackets(
    testbed: Testbed, stream: bool
) -> None:
    model, alpha, beta = [await testbed.upstream(host=IPV6) for _ in range(3)]
    targets = [target("alpha", alpha.url), target("beta", beta.url)]
    router = await testbed.start_router(router=router_section(model.url), targets=targets)
    body = {"model": "router", "messages": QUESTION, "stream": stream}
    assert (await router.client.post("/v1/chat/completions", json=body)).status_code == 200
    assert model.requests
    assert alpha.requests + beta.requests
    for upstream in (model, alpha, beta):
        assert {f"http://{request.headers['host']}/v1" for request in upstream.requests} <= {upstream.url}
