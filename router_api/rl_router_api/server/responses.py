"""Builds the JSON responses of the endpoints that FastAPI serves, and error responses in OpenAI's format."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from ..accounting.ledger import Ledger
from ..dialects.chat import client_side as chat
from ..encoding import encode
from ..errors import ApiError
from .reply import JSON, error_reply
from .scope import request_id


def json_response(value: object, status: int = 200) -> Response:
    """Returns an HTTP response with the argument `value` as JSON in the body."""
    return Response(encode(value), status, media_type=JSON.decode())


async def refuse(scope: Scope, receive: Receive, send: Send, error: ApiError) -> None:
    """Sends an error response to the client of a request."""
    await _error_response(scope, error)(scope, receive, send)


def answer_errors(api: FastAPI, hint: str) -> None:
    """Registers handlers that turn each ApiError and each HTTPException of Starlette into an error response.

    The argument `hint` is the sentence of an error message that tells the client which endpoints exist.
    """

    async def http_error(request: Request, error: Exception) -> Response:
        return _http_error(request, error, hint)

    api.add_exception_handler(ApiError, _api_error)
    api.add_exception_handler(HTTPException, http_error)


async def _api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return _error_response(request.scope, error)


def _http_error(request: Request, error: Exception, hint: str) -> Response:
    """Returns a response in OpenAI's format for an error of Starlette, such as 404 for an unknown path."""
    if not isinstance(error, HTTPException):
        raise error
    path, method = request.url.path, request.method
    message = {
        404: f"Unknown path `{path}`. {hint}",
        405: f"`{path}` does not support the method {method}. {hint}",
    }.get(error.status_code, str(error.detail))
    return _error_response(request.scope, ApiError(error.status_code, message, headers=dict(error.headers or {})))


def _error_response(scope: Scope, error: ApiError) -> Response:
    reply = error_reply(error, Ledger(request_id(scope)), "full", chat)
    return Response(reply.body, reply.status, {name.decode(): value.decode() for name, value in reply.headers})
