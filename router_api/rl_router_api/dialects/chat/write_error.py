"""Writes errors in OpenAI's format."""

from __future__ import annotations

from typing import Any

from ...encoding import encode
from ...errors import ApiError
from .. import sse


def error_object(error: ApiError) -> dict[str, Any]:
    """Returns the value of the field `error` in the response body for an error."""
    return {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}


def write_error(error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
    """Returns the response body for an error.

    The parameter `metadata` becomes the body's field `router_metadata`, or is None if no model was called.
    """
    body: dict[str, Any] = {"error": error_object(error)}
    if metadata is not None:
        body["router_metadata"] = metadata
    return encode(body)


def write_error_event(error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
    """Returns the error as a server-sent event for a stream that has already begun."""
    return sse.event(write_error(error, metadata))
