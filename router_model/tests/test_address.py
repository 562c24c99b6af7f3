"""Addresses of both IP families: --host, the listening socket, and URLs."""

from __future__ import annotations

import argparse
import socket

import pytest
from rl_router_model import flags
from rl_router_model.address import authority, read_host
from rl_router_model.hosting.options import parse
from rl_router_model.listen import bind
from rl_router_model.problem import StartError

from fakes.upstreams.ipv6 import requires_ipv6

IPV4, IPV6 = "127.0.0.1", "::1"


@pytest.mark.parametrize(
    ("text", "host"),
    [("::1", "::1"), ("[::1]", "::1"), ("[::]", "::"), ("0.0.0.0", "0.0.0.0"), ("localhost", "localhost")],
)
def test_an_ipv6_address_may_have_brackets(text: str, host: str) -> None:
    assert flags.parse(["--host", text]).host == host
    assert parse(["--host", text], "rl-router model").host == host


@pytest.mark.parametrize("text", ["127.0.0.1:8000", "[::1]:8000", "[::1", "[localhost]", "1::2::3", "[]"])
def test_a_host_with_a_port_or_wrong_brackets_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="without a port"):
        read_host(text)


def test_an_ipv6_address_has_brackets_in_a_url() -> None:
    assert (authority("::1", 8000), authority("127.0.0.1", 80)) == ("[::1]:8000", "127.0.0.1:80")


@requires_ipv6
@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", {IPV4}), ("0.0.0.0", {IPV4}), ("::1", {IPV6}), ("::", {IPV4, IPV6})],
)
def test_the_server_listens_on_the_addresses_of_the_host(host: str, reached: set[str]) -> None:
    with bind(host, 0) as listener:
        port = listener.getsockname()[1]
        assert {address for address in (IPV4, IPV6) if _accepts(port, address)} == reached


@requires_ipv6
def test_an_error_about_an_ipv6_address_puts_it_in_brackets() -> None:
    with pytest.raises(StartError, match=r"cannot listen on \[2001:db8::1\]:0: "):
        bind("2001:db8::1", 0)


def _accepts(port: int, address: str) -> bool:
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except ConnectionRefusedError:
        return False
