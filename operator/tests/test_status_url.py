"""Where clients ask."""

from __future__ import annotations

from typing import Any

from rl_router_operator.objects.manifest import Manifest
from world import World


def url(*children: Manifest) -> str:
    """The URL of `demo` beside these children."""
    found: str = World(children=children).status()["url"]
    return found


def made(kind: str, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> Manifest:
    """A child of the API."""
    return {"kind": kind, "metadata": {"name": "demo-api"}, "spec": spec or {}, "status": status or {}}


SERVICE = made("Service", status={"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}})
INGRESS = made("Ingress", {"rules": [{"host": "router.example"}]})
ROUTE = made("HTTPRoute", {"hostnames": ["*.example", "route.example"], "parentRefs": [{"name": "gateway"}]})


def test_the_services_name_where_nothing_exposes_it() -> None:
    assert url() == "http://demo-api.team.svc:8800/v1"
    assert url(made("Service")) == "http://demo-api.team.svc:8800/v1"


def test_the_load_balancers_address_by_name_ipv4_or_ipv6() -> None:
    assert url(SERVICE) == "http://203.0.113.7:8800/v1"
    named = {"ingress": [{"hostname": "lb.example", "ip": "203.0.113.7"}]}
    assert url(made("Service", status={"loadBalancer": named})) == "http://lb.example:8800/v1"
    six = {"ingress": [{"ip": "2001:db8::1"}]}
    assert url(made("Service", status={"loadBalancer": six})) == "http://[2001:db8::1]:8800/v1"


def test_the_ingress_host_goes_before_the_load_balancers() -> None:
    assert url(SERVICE, INGRESS) == "http://router.example/v1"


def test_an_ingress_with_a_certificate_is_https() -> None:
    spec = INGRESS["spec"] | {"tls": [{"hosts": ["router.example"], "secretName": "certificate"}]}
    assert url(made("Ingress", spec)) == "https://router.example/v1"
    other = INGRESS["spec"] | {"tls": [{"hosts": ["other.example"], "secretName": "certificate"}]}
    assert url(made("Ingress", other)) == "http://router.example/v1"


def test_the_routes_first_whole_host_goes_before_all() -> None:
    assert url(SERVICE, INGRESS, ROUTE) == "http://route.example/v1"


def test_a_route_of_a_tls_listener_is_https() -> None:
    for parent in ({"name": "gateway", "sectionName": "https"}, {"name": "gateway", "port": 443}):
        assert url(made("HTTPRoute", ROUTE["spec"] | {"parentRefs": [parent]})) == "https://route.example/v1"


def test_a_route_for_every_host_leaves_it_to_the_others() -> None:
    assert url(SERVICE, made("HTTPRoute", {"parentRefs": [{"name": "gateway"}]})) == "http://203.0.113.7:8800/v1"
