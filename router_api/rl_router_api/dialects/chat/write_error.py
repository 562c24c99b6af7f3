"""Writes errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from ...encoding import encode
from ...errors import ApiError
from .. import sse


def error_object(error: ApiError) -> dict[str, Any]:
    """Returns the value of `error` in an error's body."""
    return {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}


def write_error(error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
    """Returns the body of an error; `metadata`, if any was paid for, stands beside it as `router_metadata`."""
    body: dict[str, Any] = {"error": error_object(error)}
    if metadata is not None:
        body["router_metadata"] = metadata
    return encode(body)


def write_error_event(error: ApiError, metadata: dict[str, Any] | None = None) -> bytes:
    """Returns the same as an event of a stream that has begun."""
    return sse.event(write_error(error, metadata))
