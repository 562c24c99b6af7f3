"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from ...errors import ApiError


def error_object(error: ApiError) -> dict[str, Any]:
    """Returns the value of `error` in an error's body."""
    return {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
