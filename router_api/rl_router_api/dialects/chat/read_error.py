"""Reads the errors of upstreams."""

from __future__ import annotations

from typing import Any

import msgspec


def read_error(text: str) -> dict[str, Any]:
    """Returns the plain fields of an upstream's error, with its message as text; empty if the text is not JSON."""
    try:
        error = _error_in(msgspec.json.decode(text))
        plain = {name: value for name, value in error.items() if not isinstance(value, (dict, list))}
        return plain | ({"message": str(error["message"])} if error.get("message") else {})
    except (msgspec.DecodeError, RecursionError):
        return {}


def _error_in(body: Any) -> dict[str, Any]:
    if isinstance(body, list) and body:
        # Google's endpoint wraps its error in a list.
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else {}
    return error if isinstance(error, dict) else {"message": str(error)}
