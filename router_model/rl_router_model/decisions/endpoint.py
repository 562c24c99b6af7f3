"""Answers the requests for decisions over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from . import questions
from .completion import completion, stream
from .conversation import conversation_of
from .learned_policy import NewestPolicy
from .offer import offer_of
from .situation import offered_situation, read_situation, stated_situation

DECISIONS = 1
"""The version of the field `rl_router` that the server reads."""
_REFRESH_SECONDS = 1.0


class Decisions:
    """Answers requests with the newest policy.

    The methods `complete` and `answer` raise RequestError if a field is wrong.
    """

    def __init__(self, newest: NewestPolicy) -> None:
        self._newest = newest

    async def refreshed(self, _application: web.Application) -> AsyncIterator[None]:
        """Looks for a new artefact every second while the application runs."""
        task = asyncio.create_task(self._refresh())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            await self._newest.refresh()

    @property
    def announcement(self) -> dict[str, Any]:
        """The field `rl_router` of each entry of the list of models."""
        return {"decisions": DECISIONS, "artefact": self._newest.current.artefact.hash}

    def complete(self, fields: Mapping[str, Any], model: str) -> web.Response | None:
        """Returns the answer to a chat completion request, or None if the request does not ask for a decision."""
        offer = offer_of(fields)
        if offer is None:
            return None
        policy, stated = self._newest.current, stated_situation(fields)
        if stated is None:
            situation = read_situation(conversation_of(fields), offer, policy)
        else:
            situation = offered_situation(stated, offer)
        choice = policy.decide(situation)
        if not fields.get("stream"):
            return web.json_response(completion(choice, situation, offer, model))
        options = fields.get("stream_options")
        usage = isinstance(options, dict) and bool(options.get("include_usage"))
        body = stream(choice, situation, offer, model, usage=usage)
        return web.Response(body=body, content_type="text/event-stream", charset="utf-8")

    def answer(self, fields: Mapping[str, Any], model: str) -> web.Response:
        """Returns the answer to a request for decisions in OpenAI's schema."""
        return web.json_response(questions.answer(fields, model, self._newest.current))
