"""The endpoints that cost nothing, by FastAPI, which documents the others too."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from ..runtime.runtime import Runtime
from ..version import __version__
from .debug_tools import add_debug_tools
from .models import add_models
from .openapi import document_exchanges
from .responses import answer_errors
from .state import add_state


def endpoints(runtime: Runtime, shows_details: Callable[[], bool]) -> FastAPI:
    """Returns an application with the endpoints. `shows_details` says whether `/health` tells more than the state."""
    api = FastAPI(title="RL Router", version=__version__, redirect_slashes=False)
    answer_errors(api)
    add_state(api, runtime, shows_details)
    add_models(api, runtime)
    add_debug_tools(api, runtime)
    document_exchanges(api)
    return api
