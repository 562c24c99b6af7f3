"""Creates the FastAPI application of the endpoints that call no model, with an OpenAPI description of all endpoints."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from ..runtime.runtime import Runtime
from ..version import __version__
from .debug_tools import add_debug_tools
from .models import add_models
from .openapi import document_paid_endpoints
from .responses import answer_errors
from .state import add_state


def endpoints(runtime: Runtime, shows_details: Callable[[], bool]) -> FastAPI:
    """Returns the FastAPI application of the endpoints that call no model.

    The argument `shows_details` is a function that returns whether clients may see the configuration, the health of
    upstreams and the metrics.
    """
    api = FastAPI(title="RL Router", version=__version__, redirect_slashes=False)
    answer_errors(api, "`GET /openapi.json` lists the endpoints.")
    add_state(api, runtime, shows_details)
    add_models(api, runtime)
    add_debug_tools(api, runtime)
    document_paid_endpoints(api)
    return api
