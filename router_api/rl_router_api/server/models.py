"""Defines the endpoints `/v1/models` and `/v1/models/{name}`, which return the model names that a request may use."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response

from ..routing.model_names import model_names, unknown_model
from ..runtime.runtime import Runtime
from .responses import json_response


def add_models(api: FastAPI, runtime: Runtime) -> None:
    """Adds the endpoints `/v1/models` and `/v1/models/{name}` to the FastAPI application `api`."""

    @api.get("/v1/models", summary="Returns the model names that a request may use")
    async def models() -> Response:
        return json_response({"object": "list", "data": [_model(name) for name in model_names(runtime.fleet)]})

    @api.get("/v1/models/{name:path}", summary="Returns one model name")
    async def model(name: str) -> Response:
        if name not in model_names(runtime.fleet):
            raise unknown_model(name)
        return json_response(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "rl-router"}
