"""Builds the ServiceMonitors (Prometheus operator) that let Prometheus scrape the metrics of the API and of vLLM."""

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
    """Yields the ServiceMonitors of the API and of vLLM if the field `monitoring.serviceMonitor.enabled` is true.

    A router model on llama.cpp gets no ServiceMonitor, because its server has no metrics. An external router model
    gets no ServiceMonitor either.
    """
    if not router.spec.monitoring.service_monitor.enabled:
        return
    model = router.spec.model
    if not model.external and engines.name_of(model) == "vllm":
        yield _monitor(router, "model", {"port": "http"})
    # The admin port requires no API key. The Service has no admin port, so Prometheus scrapes the port of the pods.
    yield _monitor(router, "api", {"targetPort": "admin"})


def _monitor(router: RouterDeployment, component: Component, port: dict[str, Any]) -> Manifest:
    return child(
        router,
        "ServiceMonitor",
        component,
        labels=router.spec.monitoring.service_monitor.labels,
        spec={
            "selector": {
                "matchLabels": naming.selector(router.name, component),
                # Without this exclusion, Prometheus would scrape the model pods through both Services.
                "matchExpressions": [{"key": HEADLESS, "operator": "DoesNotExist"}],
            },
            "namespaceSelector": {"matchNames": [router.namespace]},
            "endpoints": [{**port, "path": "/metrics"}],
        },
    )
