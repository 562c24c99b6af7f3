"""The ServiceMonitors of the Prometheus operator, for the API and for vLLM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.naming import Component
from ..objects.routerdeployment import RouterDeployment
from . import engines
from .defaults import Defaults
from .objects import child
from .service import HEADLESS


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Where `monitoring.serviceMonitor` is enabled; llama.cpp's server has no metrics."""
    if not router.spec.monitoring.service_monitor.enabled:
        return
    model = router.spec.model
    if not model.external and engines.name_of(model) == "vllm":
        yield _monitor(router, "model", {"port": "http"})
    # The admin port needs no key, and is in no Service: Prometheus finds it at the pods behind the Service.
    yield _monitor(router, "api", {"targetPort": "admin"})


def _monitor(router: RouterDeployment, component: Component, where: dict[str, Any]) -> Manifest:
    return child(
        router,
        "ServiceMonitor",
        component,
        labels=router.spec.monitoring.service_monitor.labels,
        spec={
            "selector": {
                "matchLabels": naming.selector(router.name, component),
                # Else the model's pods would be asked twice.
                "matchExpressions": [{"key": HEADLESS, "operator": "DoesNotExist"}],
            },
            "namespaceSelector": {"matchNames": [router.namespace]},
            "endpoints": [{**where, "path": "/metrics"}],
        },
    )
