"""Implements the baseline of the benchmark: a minimal relay with FastAPI, pydantic and httpx.

This relay has no API keys, accounting, metrics or log.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

UPSTREAM = os.environ["BENCH_UPSTREAM"]
client = httpx.AsyncClient(timeout=60)
app = FastAPI()


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")
    role: str
    content: str


class Completion(BaseModel):
    model_config = ConfigDict(extra="allow")
    model: str
    messages: list[Message]
    stream: bool = False


@app.post("/v1/chat/completions", response_model=None)
async def complete(body: Completion) -> dict[str, Any] | StreamingResponse:
    payload = body.model_dump()
    if body.model == "router":
        decision = (await client.post(f"{UPSTREAM}/router/v1/chat/completions", json=payload)).json()
        payload["model"] = decision["choices"][0]["message"]["tool_calls"][0]["function"]["name"]
    if body.stream:
        return StreamingResponse(relayed(payload), media_type="text/event-stream")
    answer: dict[str, Any] = (await client.post(f"{UPSTREAM}/target/v1/chat/completions", json=payload)).json()
    return answer


async def relayed(payload: dict[str, Any]) -> AsyncIterator[bytes]:
    async with client.stream("POST", f"{UPSTREAM}/target/v1/chat/completions", json=payload) as response:
        async for chunk in response.aiter_raw():
            yield chunk
