"""The proxy of an upstream follows from the environment, as other HTTP clients read it."""

from __future__ import annotations

import pytest
from rl_router_api.config.proxies import proxy_for

PROXY = "http://proxy.example:3128"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_proxy_comes_from_either_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, PROXY)
    assert proxy_for("https", "api.example", 443) == PROXY


def test_the_variable_of_the_scheme_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://other.example")
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy_for("https", "api.example", 443) == PROXY
    assert proxy_for("http", "api.example", 80) == "http://other.example"


def test_a_proxy_without_a_scheme_is_an_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    assert proxy_for("http", "api.example", 80) == PROXY


def test_white_space_around_an_address_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f" {PROXY} \n")
    monkeypatch.setenv("HTTP_PROXY", " ")
    assert proxy_for("http", "api.example", 80) == PROXY


@pytest.mark.parametrize(
    ("entries", "host", "port", "bypassed"),
    [
        ("*", "api.example", 443, True),
        ("example", "api.example", 443, True),
        (".example", "api.example", 443, True),
        ("*.example", "api.example", 443, True),
        ("API.Example", "api.example", 443, True),
        ("pi.example", "api.example", 443, False),
        ("localhost, api.example", "api.example", 443, True),
        ("api.example:443", "api.example", 443, True),
        ("api.example:8443", "api.example", 443, False),
        ("10.0.0.0/8,.svc,.cluster.local", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("127.0.0.1:8000", "127.0.0.1", 8000, True),
        ("127.0.0.1:8000", "127.0.0.1", 8001, False),
        ("10.0.0.0/8", "api.example", 443, False),
        ("::1", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:81", "::1", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("0.0.0.0/0", "fd12::1", 80, False),
        (".svc", "vllm.default.svc", 8000, True),
        ("", "api.example", 443, False),
        (",, ,", "api.example", 443, False),
        ("a b:c:d/e", "api.example", 443, False),
    ],
)
def test_no_proxy_names_hosts_networks_and_ports(
    monkeypatch: pytest.MonkeyPatch, entries: str, host: str, port: int, bypassed: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", entries)
    assert proxy_for("http", host, port) == (None if bypassed else PROXY)
