"""Reads a request's ASGI scope: path, headers, request id and credentials."""

from __future__ import annotations

import random
import re

from starlette.types import Scope

from ..http1.request_response import HEADERS

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def route(scope: Scope) -> str:
    """Returns the path of the request without the prefix `root_path`.

    The prefix `root_path` is the path under which an ASGI server has mounted the application.
    """
    path: str = scope["path"]
    root = scope.get("root_path")
    return path.removeprefix(root) if root else path


def as_get(scope: Scope) -> Scope:
    """Returns a copy of the scope with the method GET if the request is a HEAD request, and otherwise the scope
    itself."""
    return {**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope


def header(scope: Scope, name: bytes) -> str | None:
    """Returns the value of the first header called `name`, or None if the request has no header of this name.

    The argument `name` must be in lower case.
    """
    value = (scope.get(HEADERS) or _first_values(scope)).get(name)
    # httptools keeps the white space after the value of a header.
    return None if value is None else value.decode("latin-1").rstrip(" \t")


def _first_values(scope: Scope) -> dict[bytes, bytes]:
    """Adds the mapping `HEADERS` to the scope of a request that another ASGI server received. Returns the mapping."""
    values: dict[bytes, bytes] = dict([*scope["headers"]][::-1])
    scope[HEADERS] = values
    return values


def credentials(scope: Scope) -> str | None:
    """Returns the value of the request's Authorization header, or None if the header is missing."""
    return header(scope, b"authorization")


def request_id(scope: Scope) -> str:
    """Returns the id of the request: the client's x-request-id header if the header is valid, and otherwise a new
    id."""
    value = header(scope, b"x-request-id")
    return value if value and _REQUEST_ID.fullmatch(value) else f"req_{random.getrandbits(128):032x}"


def traceparent(scope: Scope) -> str | None:
    """Returns the value of the client's traceparent header, or None if the value is missing or invalid."""
    value = header(scope, b"traceparent")
    return value if value and _TRACEPARENT.fullmatch(value) else None
