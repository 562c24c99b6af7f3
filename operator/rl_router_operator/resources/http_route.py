"""Builds the HTTPRoute (Kubernetes Gateway API) that routes requests to the router API."""

from __future__ import annotations

from collections.abc import Iterator

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from .defaults import Defaults
from .objects import child, without_empty


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Yields the HTTPRoute if the field `api.httpRoute` is set."""
    route = router.spec.api.http_route
    if not route:
        return
    backend = {"name": naming.child(router.name, "api"), "port": naming.API_PORT}
    yield child(
        router,
        "HTTPRoute",
        "api",
        annotations=route.annotations,
        spec=without_empty(
            {
                "parentRefs": route.parent_refs,
                "hostnames": route.hostnames,
                "rules": [
                    {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend]},
                ],
            }
        ),
    )
