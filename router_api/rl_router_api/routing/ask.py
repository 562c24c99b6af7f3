"""Asks the router model for a policy: the call is reserved, booked in the ledger, and ends in time."""

from __future__ import annotations

from collections.abc import Callable
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
"""Tokens of a router model that does not say how many it takes."""
_WRONG_MODEL = (400, 404)
"""What a server answers that has no such model, or not with so much context: another one serves there since."""


class RouterModel:
    """The router model of one configuration; its name and its context length are looked up when they are needed."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._router = fleet.router
        self._upstream = fleet.router_model
        self._listed: Listed | None = None

    async def ask(
        self, conversation: Callable[[int], list[dict[str, Any]]], tools: bytes, limits: Limits
    ) -> PaidAnswer:
        """Returns its answer; see `decide.Ask`. Raises NoDecisionError."""
        self._check_state()
        try:
            listed = self._listed or await self._look_up()
        except ListingError as error:
            raise NoDecisionError(f"the router model cannot be asked for its name: {error}") from None
        body = self._body(listed, conversation, tools)
        entry = self._open_entry(listed, body, limits)
        try:
            answer = await complete(self._upstream, self._fleet.transport, body, entry, within=self._router.timeout)
        except CallFailedError as failure:
            if failure.status in _WRONG_MODEL:
                self._listed = None
            raise NoDecisionError(f"the router model failed: {failure.message}", entry.cost) from None
        return PaidAnswer(answer, entry.cost)

    def _check_state(self) -> None:
        """Raises NoDecisionError if the router model need not be asked now."""
        if not self._upstream.ready:
            raise NoDecisionError("the router model failed too often lately")
        if missing := self._upstream.key.missing:
            raise NoDecisionError(f"the router model's key: {missing}")

    def _body(self, listed: Listed, conversation: Callable[[int], list[dict[str, Any]]], tools: bytes) -> bytes:
        router = self._router
        head = {"model": listed.id, "temperature": router.temperature, "max_tokens": router.max_tokens}
        fields = msgspec.json.encode(head)[:-1] + b"," + tools[1:]
        room = (listed.max_model_len or _DEFAULT_CONTEXT) - router.max_tokens - len(fields) // 3
        return fields[:-1] + b',"messages":' + msgspec.json.encode(conversation(room)) + b"}"

    def _open_entry(self, listed: Listed, body: bytes, limits: Limits) -> Entry:
        """Reserves the worst case of the question and opens its entry. Raises NoDecisionError."""
        router, spending = self._router, limits.spending
        worst = NOTHING if spending.left is None else worst_cost(router.price, len(body), router.max_tokens)
        try:
            hold = spending.reserve(worst)
        except UnaffordableError:
            raise NoDecisionError("`max_cost` leaves nothing for a decision") from None
        entry = limits.ledger.open_router_call(listed.id, router.price, len(body) // 4 + 1)
        entry.hold = hold
        return entry

    async def _look_up(self) -> Listed:
        """Returns its name and context length, as configured or else as its server lists them. Raises ListingError."""
        router = self._router
        if router.model and router.context_length:
            self._listed = Listed(router.model, router.context_length)
        else:
            self._listed = await self._as_listed(router)
        return self._listed

    async def _as_listed(self, router: RouterModelConfig) -> Listed:
        try:
            listed = await list_models(self._upstream, self._fleet.transport)
        except ListingError:
            if router.model is None:
                raise
            return Listed(router.model, router.context_length or _DEFAULT_CONTEXT)
        named = next((model for model in listed if model.id == router.model), None)
        found = named or Listed(router.model or listed[0].id, listed[0].max_model_len)
        return Listed(found.id, router.context_length or found.max_model_len or _DEFAULT_CONTEXT)
