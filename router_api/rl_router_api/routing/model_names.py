"""Determines from the field `model` whether a request is routed or pinned. An unknown model causes a 404 error."""

from __future__ import annotations

from ..config import ROUTED_NAMES
from ..conversation.request import Request
from ..errors import ApiError, bad_request
from ..upstreams.fleet import Fleet


def model_names(fleet: Fleet) -> list[str]:
    """Returns every name that the field `model` of a request may contain."""
    return [*ROUTED_NAMES, *fleet.routing.aliases, *(target.name for target, _ in fleet.targets)]


def pinned_target(request: Request, fleet: Fleet) -> str | None:
    """Returns the name of the target to which the request is pinned, or None if the request is routed.

    Raises ApiError with status 404 if the request's field `model` contains an unknown name, and with status 400 if the
    request's field `router.models` contains an unknown name.
    """
    for name in request.options.models or ():
        if fleet.target(name) is None:
            known = ", ".join(target.name for target, _ in fleet.targets)
            message = f"`router.models`: unknown target `{name}`: targets are {known}. Fix the name."
            raise bad_request(message, "router.models")
    if request.model in ROUTED_NAMES or request.model in fleet.routing.aliases:
        return None
    if fleet.target(request.model) is None:
        raise unknown_model(request.model)
    return request.model


def unknown_model(name: str) -> ApiError:
    """Returns the 404 error for an unknown model, with OpenAI's error code `model_not_found`."""
    message = f"The model `{name}` does not exist. Use a model that `GET /v1/models` lists."
    return ApiError(404, message, param="model", code="model_not_found")
