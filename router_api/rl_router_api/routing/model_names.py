"""What a request's model name means: it is routed, it names a target (pinned), or it is unknown (a 404)."""

from __future__ import annotations

from ..config import ROUTED_NAMES
from ..conversation.request import Request
from ..errors import ApiError, bad_request
from ..upstreams.fleet import Fleet


def model_names(fleet: Fleet) -> list[str]:
    """Returns every name under which a request may be made."""
    return [*ROUTED_NAMES, *fleet.routing.aliases, *(target.name for target, _ in fleet.targets)]


def pinned_target(request: Request, fleet: Fleet) -> str | None:
    """Returns the target that a request names as its model; None if it is to be routed. Raises ApiError, a 404."""
    for name in request.options.models or ():
        if fleet.target(name) is None:
            known = ", ".join(target.name for target, _ in fleet.targets)
            raise bad_request(f"`router.models`: there is no target `{name}`; known: {known}.", "router.models")
    if request.model in ROUTED_NAMES or request.model in fleet.routing.aliases:
        return None
    if fleet.target(request.model) is None:
        raise unknown_model(request.model)
    return request.model


def unknown_model(name: str) -> ApiError:
    """Returns OpenAI's 404 for a model that is not there."""
    message = f"The model `{name}` does not exist; `GET /v1/models` lists those that do."
    return ApiError(404, message, param="model", code="model_not_found")
