"""Builds the Ingress that sends requests to the router API."""

from __future__ import annotations

from collections.abc import Iterator

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from .defaults import Defaults
from .objects import child, without_empty


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Yields the Ingress if the field `api.ingress` is set."""
    ingress = router.spec.api.ingress
    if not ingress:
        return
    backend = {"service": {"name": naming.child(router.name, "api"), "port": {"name": "http"}}}
    tls = {"hosts": [ingress.host], "secretName": ingress.tls_secret_name}
    yield child(
        router,
        "Ingress",
        "api",
        annotations=ingress.annotations,
        spec=without_empty(
            {
                "ingressClassName": ingress.class_name,
                "tls": [tls] if ingress.tls_secret_name else [],
                "rules": [
                    {
                        "host": ingress.host,
                        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
                    }
                ],
            }
        ),
    )
