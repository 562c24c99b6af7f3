"""IPv6: where the operator and the pods listen, and how the operator reaches pods and the API server."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web
from prometheus_client import CollectorRegistry
from rl_router_operator.cluster.transport import connection
from rl_router_operator.controller.endpoints import OperatorState, application, serve
from rl_router_operator.controller.options import read
from rl_router_operator.controller.pod_health import HealthClient
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.children import children, container, env
from fakes.cluster.health import health
from fakes.upstreams.ipv6 import requires_ipv6

IPV4, IPV6 = Defaults(), Defaults(has_ipv6=True)
PROXY = {"HTTPS_PROXY": "http://proxy:3128"}
MODELS = [{}, {"source": "hf://a/b"}, {"source": "hf://a/b", "accelerator": {"count": 1}}]


@pytest.mark.parametrize(
    ("pod_ips", "host"),
    [
        ("10.0.0.1", "0.0.0.0"),
        ("fd00::1", "::"),
        ("10.0.0.1,fd00::1", "::"),
        ("fd00::1,10.0.0.1", "::"),
        ("", "0.0.0.0"),
    ],
)
def test_one_ipv6_address_of_the_operators_pod_makes_every_server_listen_on_both_families(pod_ips: str, host: str):
    settings = read([], {"POD_IPS": pod_ips})
    assert (settings.host, settings.defaults.host) == (host, host)


def test_without_the_addresses_of_its_pod_the_operator_assumes_ipv4():
    settings = read([], {})
    assert (settings.host, settings.defaults.host) == ("0.0.0.0", "0.0.0.0")


@pytest.mark.parametrize(("flag", "host"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("::", "::")])
def test_the_flag_host_changes_only_the_operators_own_address(flag: str, host: str):
    settings = read([f"--host={flag}"], {"POD_IPS": "10.0.0.1"})
    assert (settings.host, settings.defaults.host) == (host, "0.0.0.0")


def test_a_host_with_a_port_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        read(["--host=[::1]:8080"], {})
    assert '--host: "[::1]:8080" is neither an IP address' in capsys.readouterr().err


@pytest.mark.parametrize(("defaults", "host"), [(IPV4, "0.0.0.0"), (IPV6, "::")])
@pytest.mark.parametrize("model", MODELS)
def test_every_engine_and_the_api_listen_on_all_addresses_of_their_pods(model, defaults: Defaults, host: str):
    arguments = container("model", defaults, model=model)["args"]
    assert arguments[arguments.index("--host") + 1] == host
    variables = env("api", defaults, model=model)
    hosts = {value for name, value in variables.items() if name.startswith("RL_ROUTER_SERVER_") and "HOST" in name}
    assert hosts == {host}


@pytest.mark.parametrize(("has_ipv6", "bypassed"), [(False, "localhost,127.0.0.1"), (True, "localhost,127.0.0.1,::1")])
def test_the_loopback_addresses_bypass_the_proxy(has_ipv6: bool, bypassed: str):
    assert env("model", Defaults(proxy=PROXY, has_ipv6=has_ipv6))["NO_PROXY"] == bypassed


@pytest.mark.parametrize("spec", [{}, {"model": {"source": "hf://a/b"}}])
def test_every_service_has_addresses_of_both_families_if_the_cluster_has_both(spec):
    services = [child["spec"] for (kind, _), child in children(**spec).items() if kind == "Service"]
    assert [service["ipFamilyPolicy"] for service in services] == ["PreferDualStack"] * 3


def test_network_policies_select_pods_and_never_addresses():
    """Policies with address ranges would have to name the ranges of both families."""
    spec = {"api": {"networkPolicy": {"enabled": True}}, "model": {"source": "hf://a/b"}}
    defaults = Defaults(operator_namespace="system", monitoring_namespace="monitoring", has_ipv6=True)
    policies = [child["spec"] for (kind, _), child in children(defaults, **spec).items() if kind == "NetworkPolicy"]
    peers = [peer for policy in policies for rule in policy["ingress"] for peer in rule.get("from", ())]
    assert len(policies) == 2
    assert all(peer.keys() <= {"podSelector", "namespaceSelector"} for peer in peers)


@pytest.mark.parametrize(
    ("url", "no_proxy", "bypassed"),
    [
        ("https://[fd00:10:96::1]:443", "fd00:10:96::1", True),
        ("https://[fd00:10:96::1]:443", "[fd00:10:96::1]:443", True),
        ("https://[fd00:10:96::1]:443", "[fd00:10:96::1]:6443", False),
        ("https://[fd00:10:96::1]", "fd00:10:96::/112", True),
        ("https://[fd00:10:96::1]:443", "10.96.0.0/12", False),
        ("https://10.96.0.1:443", "10.96.0.0/12", True),
        ("https://10.96.0.1:443", "fd00::/8", False),
        ("https://10.96.0.1:443", "", False),
        ("https://api.example:6443", ".example", True),
    ],
)
async def test_no_proxy_covers_the_api_server_by_address_and_by_network(
    url: str, no_proxy: str, bypassed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    cluster = {"name": "it", "cluster": {"server": url}}
    context = {"name": "it", "context": {"cluster": "it", "user": "it"}}
    config = {
        "current-context": "it",
        "clusters": [cluster],
        "contexts": [context],
        "users": [{"name": "it", "user": {}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    assert (await connection(str(file))).proxy == (None if bypassed else "http://proxy.example:3128")


@requires_ipv6
@pytest.mark.parametrize(
    ("host", "reached"),
    [("::", {"127.0.0.1", "[::1]"}), ("::1", {"[::1]"}), ("0.0.0.0", {"127.0.0.1"}), ("127.0.0.1", {"127.0.0.1"})],
)
async def test_the_operators_endpoints_listen_on_the_addresses_of_the_host(host: str, reached: set[str]):
    state = OperatorState(age=lambda: 0.0, leads=lambda: True, obstacles=list)
    runner, port = await serve(application(state, CollectorRegistry()), host, 0)
    try:
        assert {address for address in ("127.0.0.1", "[::1]") if await _answers(address, port)} == reached
    finally:
        await runner.cleanup()


async def _answers(address: str, port: int) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}:{port}/healthz") as response:
            return response.status == 200
    except aiohttp.ClientConnectorError:
        return False


@requires_ipv6
async def test_the_health_of_a_pod_with_an_ipv6_address_is_read():
    hosts = []

    async def answer(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.json_response(health().document.as_json())

    app = web.Application()
    app.router.add_get("/health", answer)
    runner, port = await serve(app, "::1", 0)
    client = HealthClient(port)
    try:
        assert (await client("::1")).document == health().document
        assert hosts == [f"[::1]:{port}"]
    finally:
        await client.close()
        await runner.cleanup()
