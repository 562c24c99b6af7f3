"""The URL for clients in the status."""

from __future__ import annotations

from typing import Any

from rl_router_operator.objects.manifest import Manifest

from fakes.cluster.scenario import Scenario


def url(*children: Manifest) -> str:
    """Returns the URL of `demo` with these children."""
    status_url: str = Scenario(children=children).status()["url"]
    return status_url


def api_child(kind: str, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> Manifest:
    """Returns a child with the name of the API."""
    return {"kind": kind, "metadata": {"name": "demo-api"}, "spec": spec or {}, "status": status or {}}


SERVICE = api_child("Service", status={"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}})
INGRESS = api_child("Ingress", {"rules": [{"host": "router.example"}]})
ROUTE = api_child("HTTPRoute", {"hostnames": ["*.example", "route.example"], "parentRefs": [{"name": "gateway"}]})


def test_a_router_that_is_not_exposed_has_the_services_dns_name() -> None:
    assert url() == "http://demo-api.team.svc:8800/v1"
    assert url(api_child("Service")) == "http://demo-api.team.svc:8800/v1"


def test_a_load_balancer_has_a_host_name_or_an_ipv4_or_ipv6_address() -> None:
    assert url(SERVICE) == "http://203.0.113.7:8800/v1"
    named = {"ingress": [{"hostname": "lb.example", "ip": "203.0.113.7"}]}
    assert url(api_child("Service", status={"loadBalancer": named})) == "http://lb.example:8800/v1"
    ipv6 = {"ingress": [{"ip": "2001:db8::1"}]}
    assert url(api_child("Service", status={"loadBalancer": ipv6})) == "http://[2001:db8::1]:8800/v1"


def test_the_ingress_host_takes_precedence_over_the_load_balancer() -> None:
    assert url(SERVICE, INGRESS) == "http://router.example/v1"


def test_an_ingress_with_a_certificate_for_the_host_is_https() -> None:
    spec = INGRESS["spec"] | {"tls": [{"hosts": ["router.example"], "secretName": "certificate"}]}
    assert url(api_child("Ingress", spec)) == "https://router.example/v1"
    other = INGRESS["spec"] | {"tls": [{"hosts": ["other.example"], "secretName": "certificate"}]}
    assert url(api_child("Ingress", other)) == "http://router.example/v1"


def test_the_routes_first_host_without_a_wildcard_takes_precedence_over_all() -> None:
    assert url(SERVICE, INGRESS, ROUTE) == "http://route.example/v1"


def test_a_route_to_a_tls_listener_is_https() -> None:
    for parent in ({"name": "gateway", "sectionName": "https"}, {"name": "gateway", "port": 443}):
        assert url(api_child("HTTPRoute", ROUTE["spec"] | {"parentRefs": [parent]})) == "https://route.example/v1"


def test_a_route_without_hosts_does_not_set_the_url() -> None:
    assert url(SERVICE, api_child("HTTPRoute", {"parentRefs": [{"name": "gateway"}]})) == "http://203.0.113.7:8800/v1"
