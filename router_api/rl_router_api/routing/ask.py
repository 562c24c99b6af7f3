"""Calls the router model for a policy, and applies the request's money limit and `router.timeout` to the call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from ..accounting.ledger import Entry
from ..accounting.money import NOTHING, worst_cost
from ..config import RouterModelConfig
from ..errors import CallFailedError, ListingError, NoDecisionError, UnaffordableError
from ..upstreams.call import complete
from ..upstreams.fleet import Fleet
from ..upstreams.listing import Listed, list_models
from .decide import Limits, PaidAnswer

_DEFAULT_CONTEXT = 8192
"""The router model's context length in tokens if neither the configuration nor the model's server specifies it."""
_MODEL_CHANGED = (400, 404)
"""The HTTP statuses with which the router model's server may report that the server now serves another model, or the
same model with a shorter context."""


class RouterModel:
    """The router model of one configuration.

    A call first looks up the model's name and context length if they are unknown.
    The field `rl_router` is part of a request only if the list of models announces that the server reads the field.
    Other servers may reject requests with unknown fields.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._router = fleet.router
        self._upstream = fleet.router_model
        self._listed: Listed | None = None
        self._artefact: str | None = None
        """The artefact by which the server decides, or None if the server does not read the field `rl_router`."""

    async def learn(self) -> None:
        """Finds out from the list of models whether the server reads the field `rl_router`.

        If the list is empty or cannot be read, the previous finding stays in use.
        """
        with suppress(ListingError):
            await self._list()

    async def ask(
        self,
        conversation: Callable[[int], list[dict[str, Any]]],
        tools: bytes,
        limits: Limits,
        situation: Callable[[str], bytes] | None = None,
    ) -> PaidAnswer:
        """Returns the router model's answer, as the interface `Ask` in `decide.py` requires. Raises NoDecisionError."""
        self._check_state()
        try:
            listed = self._listed or await self._look_up()
        except ListingError as error:
            remedy = "Set the configuration's `router.model`, or check the router model's server"
            raise NoDecisionError(f"the name of the router model is unknown: {error}. {remedy}") from None
        body = self._body(listed, conversation, tools)
        if self._artefact is not None and situation is not None:
            body = body[:-1] + b',"rl_router":' + situation(self._artefact) + b"}"
        entry = self._open_entry(listed, body, limits)
        try:
            answer = await complete(self._upstream, self._fleet.transport, body, entry, within=self._router.timeout)
        except CallFailedError as failure:
            if failure.status in _MODEL_CHANGED:
                self._listed = None
            message = f"the router model failed: {failure.message}. Check the router model's server"
            raise NoDecisionError(message, entry.cost) from None
        return PaidAnswer(answer, entry.cost)

    def _check_state(self) -> None:
        """Raises NoDecisionError if a cooldown or the circuit breaker prevents a call, or if the API key is missing."""
        if not self._upstream.ready:
            raise NoDecisionError(
                "the router model is in cooldown, or its circuit breaker blocks calls. See `router_model` in `/health`"
            )
        if missing := self._upstream.key.missing:
            raise NoDecisionError(f"the router model has no API key: {missing}. Set the key")

    def _body(self, listed: Listed, conversation: Callable[[int], list[dict[str, Any]]], tools: bytes) -> bytes:
        router = self._router
        head = {"model": listed.id, "temperature": router.temperature, "max_tokens": router.max_tokens}
        fields = msgspec.json.encode(head)[:-1] + b"," + tools[1:]
        room = (listed.max_model_len or _DEFAULT_CONTEXT) - router.max_tokens - len(fields) // 3
        return fields[:-1] + b',"messages":' + msgspec.json.encode(conversation(room)) + b"}"

    def _open_entry(self, listed: Listed, body: bytes, limits: Limits) -> Entry:
        """Opens the ledger entry of a call to the router model, and reserves the worst-case cost if money is limited.

        Raises NoDecisionError if the money limit does not allow the call.
        """
        router, spending = self._router, limits.spending
        worst = NOTHING if spending.left is None else worst_cost(router.price, len(body), router.max_tokens)
        try:
            hold = spending.reserve(worst)
        except UnaffordableError:
            reason = f"a decision may cost {worst:f} USD, but only {spending.left or NOTHING:f} USD are left"
            remedy = "Raise the request's `router.max_cost` or the server's `routing.max_cost`, whichever is lower"
            raise NoDecisionError(f"{reason}. {remedy}") from None
        entry = limits.ledger.open_router_call(listed.id, router.price, len(body) // 4 + 1)
        entry.hold = hold
        return entry

    async def _look_up(self) -> Listed:
        """Returns the router model's name and context length.

        A value that is not configured comes from the list of models. The default context length is 8192 tokens. Raises
        ListingError if no name is configured and the list is empty or cannot be read.
        """
        router = self._router
        if router.model and router.context_length:
            self._listed = Listed(router.model, router.context_length)
        else:
            self._listed = await self._from_server(router)
        return self._listed

    async def _from_server(self, router: RouterModelConfig) -> Listed:
        try:
            listed = await self._list()
        except ListingError:
            if router.model is None:
                raise
            return Listed(router.model, router.context_length or _DEFAULT_CONTEXT)
        return Listed(router.model or listed.id, router.context_length or listed.max_model_len or _DEFAULT_CONTEXT)

    async def _list(self) -> Listed:
        """Reads the list of models. Returns the entry with the configured name, or else the first entry.

        Raises ListingError if the list is empty or cannot be read.
        """
        models = await list_models(self._upstream, self._fleet.transport)
        listed = next((model for model in models if model.id == self._router.model), models[0])
        self._artefact = listed.artefact if self._router.model in (None, listed.id) else None
        return listed
