"""Defines the endpoints that return the state of the service: `/`, `/health`, `/ready` and `/metrics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Response

from ..accounting.metrics import CONTENT_TYPE
from ..config import Configuration
from ..errors import ApiError
from ..routing.model_names import model_names
from ..runtime.runtime import Runtime
from ..upstreams.upstream import without_credentials
from ..version import __version__
from .responses import json_response


def add_state(api: FastAPI, runtime: Runtime, shows_details: Callable[[], bool]) -> None:
    """Adds the endpoints `/`, `/health`, `/ready` and `/metrics` to the FastAPI application `api`.

    The argument `shows_details` is a function that returns whether the client may see the configuration, the health of
    upstreams and the metrics.
    """

    @api.get("/", summary="Returns the version, the model names and, if no API keys are configured, the configuration")
    async def about() -> Response:
        page: dict[str, Any] = {"service": "rl-router", "version": __version__, "models": model_names(runtime.fleet)}
        if shows_details():
            page["configuration"] = _without_secrets(runtime.configuration)
            if (policy := runtime.active.policy_health) is not None:
                verdict = policy.guard.verdict if policy.guard else None
                page |= {"policy": policy.name, "artefact": policy.artefact, "guard": verdict}
                page["unit"] = runtime.active.unit
        return json_response(page)

    @api.get(
        "/health",
        summary="Returns HTTP status 200, the overall status and, if no API keys are configured, the upstreams' states",
    )
    async def health() -> Response:
        health = runtime.health()
        return json_response(health.as_json() if shows_details() else {"status": health.status})

    @api.get("/ready", summary="Returns HTTP status 200 until the server begins to stop, and then 503")
    async def ready() -> Response:
        return json_response({"ready": not runtime.draining}, 503 if runtime.draining else 200)

    @api.get("/metrics", summary="Returns Prometheus metrics, or HTTP status 404 if API keys are configured")
    async def metrics() -> Response:
        if not shows_details():
            raise ApiError(404, "API keys give no access to the metrics. Request `/metrics` from the admin port.")
        return Response(runtime.metrics.exposition(runtime.current_state()), media_type=CONTENT_TYPE)


def _without_secrets(configuration: Configuration) -> dict[str, Any]:
    """Returns the configuration as JSON values.

    Redacts the values of the upstreams' headers and query parameters, and the credentials in their base URLs.
    """
    redacted: dict[str, Any] = configuration.model_dump(mode="json")
    for upstream in [redacted["router"], *(redacted["targets"] or ())]:
        upstream["base_url"] = without_credentials(upstream["base_url"])
        for field in ("headers", "query"):
            if field in upstream:
                upstream[field] = dict.fromkeys(upstream[field], "***")
    return redacted
