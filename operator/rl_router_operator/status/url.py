"""Computes the URL at which clients reach the router."""

from __future__ import annotations

from typing import Any

from ..objects.manifest import Manifest
from ..objects.naming import API_PORT, child
from ..objects.observed import Observed
from ..objects.routerdeployment import RouterDeployment


def url_of(router: RouterDeployment, observed: Observed) -> str:
    """Returns the URL at which clients reach the router, with the path /v1.

    The host in the URL comes from the HTTPRoute, or else from the Ingress, or else from the load balancer, or else from
    the Service.
    """
    name = child(router.name, "api")
    service = observed.children.get(("Service", name))
    return (
        _by_route(observed.children.get(("HTTPRoute", name)))
        or _by_ingress(observed.children.get(("Ingress", name)))
        or _by_load_balancer(service)
        or f"http://{name}.{router.namespace}.svc:{API_PORT}/v1"
    )


def _by_route(route: Manifest | None) -> str | None:
    """Returns the URL of an HTTPRoute with the first host name that has no wildcard.

    Returns None if the HTTPRoute is missing, or if the HTTPRoute has no host name or only host names with wildcards.
    The scheme of the URL is https if a parent reference has the port 443 or a section name that contains `https` or
    `tls`. Otherwise, the scheme is http.
    """
    spec = (route or {}).get("spec", {})
    host = next((hostname for hostname in spec.get("hostnames", ()) if not hostname.startswith("*")), None)
    secure = any(_is_secure(parent) for parent in spec.get("parentRefs", ()))
    return f"{'https' if secure else 'http'}://{host}/v1" if host else None


def _is_secure(parent: dict[str, Any]) -> bool:
    section = str(parent.get("sectionName", ""))
    return parent.get("port") == 443 or "https" in section or "tls" in section


def _by_ingress(ingress: Manifest | None) -> str | None:
    spec = (ingress or {}).get("spec", {})
    host = next((rule["host"] for rule in spec.get("rules", ()) if rule.get("host")), None)
    secure = any(not tls.get("hosts") or host in tls["hosts"] for tls in spec.get("tls", ()))
    return f"{'https' if secure else 'http'}://{host}/v1" if host else None


def _by_load_balancer(service: Manifest | None) -> str | None:
    balancer = (service or {}).get("status", {}).get("loadBalancer", {})
    for ingress in balancer.get("ingress", ()):
        if address := ingress.get("hostname") or ingress.get("ip"):
            return f"http://{f'[{address}]' if ':' in address else address}:{API_PORT}/v1"
    return None
