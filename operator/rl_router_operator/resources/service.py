"""Builds the Services of the router model and the API, and a headless Service for the DNS names of the model pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.naming import Component
from ..objects.routerdeployment import RouterDeployment
from ..schema import GROUP
from .defaults import Defaults
from .objects import child

HEADLESS = f"{GROUP}/headless"
"""The name of the label that only the headless Service of the model pods has."""


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Yields the Services of the API and of a hosted router model. No Service exposes the API's admin port."""
    if not router.spec.model.external:
        yield child(router, "Service", "model", spec=_spec(router, "model", naming.MODEL_PORT, type="ClusterIP"))
        yield child(
            router,
            "Service",
            "model",
            name=naming.headless(router.name),
            labels={HEADLESS: "true"},
            spec=_spec(router, "model", naming.MODEL_PORT, type="ClusterIP", clusterIP="None"),
        )
    service = router.spec.api.service
    yield child(
        router,
        "Service",
        "api",
        annotations=service.annotations,
        spec=_spec(router, "api", naming.API_PORT, type=service.type),
    )


def _spec(router: RouterDeployment, component: Component, number: int, **further: str) -> Mapping[str, Any]:
    return {
        **further,
        # On a cluster with one IP family, the API server keeps this value and assigns one address.
        "ipFamilyPolicy": "PreferDualStack",
        "selector": naming.selector(router.name, component),
        "ports": [{"name": "http", "port": number, "targetPort": "http", "protocol": "TCP"}],
    }
