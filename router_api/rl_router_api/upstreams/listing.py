"""Reads the names and the context lengths of the models that an upstream lists at the path `/models`."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..errors import BrokenAnswerError, ListingError, TransportError
from .transport import Transport, read_whole
from .upstream import Upstream

_MAX_LISTING = 4 * 1024 * 1024
_SITUATIONS = 1
"""The version of the field `rl_router` that the router API writes."""


class Listed(Struct, frozen=True):
    """A model that an upstream lists.

    The attribute `max_model_len` is the model's context length in tokens (None if the server reports no length). The
    attribute `rl_router` is an object if a learned policy decides for the model.
    """

    id: str
    max_model_len: int | None = None
    rl_router: Any = None

    @property
    def artefact(self) -> str | None:
        """The hash of the artefact by which the server decides, or an empty string if the server names no artefact.

        The attribute is None if the server does not announce that it reads the field `rl_router` of requests.
        """
        if not isinstance(self.rl_router, dict) or self.rl_router.get("decisions") != _SITUATIONS:
            return None
        artefact = self.rl_router.get("artefact")
        return artefact if isinstance(artefact, str) else ""


class _Listing(Struct):
    data: list[Listed]


async def list_models(upstream: Upstream, transport: Transport) -> list[Listed]:
    """Returns the models that an upstream lists, in the upstream's order. The returned list is never empty.

    Raises ListingError if the upstream lists no models or the list of models cannot be read.
    """
    try:
        response = await transport.send("GET", upstream.url("/models"), upstream.headers(), None, 5.0)
        try:
            body = await read_whole(response, _MAX_LISTING)
        except BrokenAnswerError:
            raise ListingError(f"the list of models exceeds {_MAX_LISTING} bytes", response.status) from None
        finally:
            response.close()
    except TransportError as error:
        raise ListingError(str(error)) from None
    if not 200 <= response.status < 300:
        raise ListingError(f"the server answered GET /models with status {response.status}", response.status)
    try:
        listed = msgspec.json.decode(body, type=_Listing).data
    except (msgspec.DecodeError, RecursionError):
        raise ListingError("the server's answer to GET /models is not a list of models", response.status) from None
    if not listed:
        raise ListingError("the server lists no models at /models", response.status)
    return listed
