"""Calls the targets of a configuration without a server, as a server does for requests that name a target.

The lab uses this module. Each call has a ledger of its own, is retried like a call of a server, and spends the money of
the caller's `Spending`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from ..accounting.ledger import Ledger
from ..accounting.money import FREE, worst_cost
from ..accounting.spending import Spending
from ..config import Configuration, Target
from ..conversation.answer import text_of
from ..conversation.request import Request
from ..dialects.chat.client_side import read_request
from ..errors import ConfigurationError
from ..policies.fixed import Fixed
from ..routing.answer import Answerer
from ..routing.limits import limits_of
from ..routing.model_names import unknown_model
from ..routing.outcome import Outcome
from ..upstreams.fleet import Fleet, fleet_of
from ..upstreams.key import Key
from ..upstreams.transport import HttpTransport
from ..upstreams.upstream import Upstream
from .settings import read


class DirectAnswer(Struct, frozen=True):
    """The answer of a target, with the cost in US dollars and the latency of the attempt that returned the answer.

    The attribute `is_cut` is true if the answer reached the output limit.
    """

    text: str
    is_cut: bool
    output_tokens: int
    cost: Decimal
    seconds: float


class DirectCalls:
    """Calls the targets of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        # Every request names a target, so the policy never decides.
        self._answerer = Answerer(fleet, lambda _: Fixed(()))

    def worst_cost(self, body: bytes, *, more_bytes: int = 0) -> Decimal:
        """Returns the maximum cost in US dollars of one attempt of a request with an output limit.

        The parameter `more_bytes` is the number of bytes by which the request may still grow. Raises ApiError if the
        request is invalid or names no target.
        """
        request = read_request(body)
        target, upstream = self._named(request)
        max_input = upstream.dialect.max_input_tokens(request, target) + more_bytes
        return worst_cost(target.price or FREE, max_input, request.n * (request.max_output or 0))

    def input_tokens(self, body: bytes) -> int:
        """Returns the estimated number of input tokens of a request. Raises ApiError if the request is invalid."""
        return read_request(body).input_tokens

    async def answer(self, body: bytes, spending: Spending) -> DirectAnswer:
        """Returns the answer of the target that the field `model` of a request names.

        Raises ApiError if the request is invalid, if the target does not answer, or if the money does not suffice.
        """
        request = read_request(body)
        self._named(request)
        ledger = Ledger(secrets.token_hex(8))
        limits = limits_of(request, self._fleet, None, ledger)
        limits = replace(limits, spending=spending, unsized=self._fleet.unsized_part(request))
        try:
            return _read(await self._answerer.answer(request, limits))
        finally:
            ledger.close()

    def _named(self, request: Request) -> tuple[Target, Upstream]:
        pair = self._fleet.target(request.model)
        if pair is None:
            raise unknown_model(request.model)
        return pair


@asynccontextmanager
async def direct_calls(configuration: Configuration) -> AsyncIterator[DirectCalls]:
    """Yields an object that calls the configured targets, and closes the connections to the targets at the end."""
    transport = HttpTransport()
    try:
        yield DirectCalls(fleet_of(configuration, configuration.targets or (), transport))
    finally:
        await transport.close()


def priced_configuration(path: str, names: Collection[str]) -> Configuration:
    """Returns the configuration in the file `path` with the targets `names`, or with all targets if `names` is empty.

    Raises ConfigurationError if the configuration is invalid, if a name is unknown, or if a target lacks its price or
    its API key.
    """
    configuration = read(path, os.environ, {})
    targets = configuration.targets or ()
    known = [target.name for target in targets]
    if not targets:
        raise ConfigurationError(f"{path}: targets: no target is configured. Add the targets that shall answer")
    for name in names:
        if name not in known:
            raise ConfigurationError(f'{path}: unknown target "{name}": targets are {", ".join(known)}. Fix the name')
    chosen = tuple([target for target in targets if not names or target.name in names])
    for target in chosen:
        _check(path, target)
    return configuration.model_copy(update={"targets": chosen})


def _check(path: str, target: Target) -> None:
    if target.price is None:
        raise ConfigurationError(
            f"{path}: targets: the price of `{target.name}` is unknown, but a budget needs prices. Add the `price`"
        )
    if missing := Key(target).missing:
        raise ConfigurationError(f"{path}: targets: `{target.name}` has no API key: {missing}. Set the API key")


def _read(outcome: Outcome) -> DirectAnswer:
    answer, entry = outcome.answer, outcome.entry
    if answer is None or entry is None or entry.read_usage is None:
        raise ValueError("the outcome of a non-streamed request has no complete answer. Fix the package `routing`")
    return DirectAnswer(
        text=text_of(answer.first),
        is_cut=answer.choices[0].finish_reason == "length",
        output_tokens=entry.read_usage.output,
        cost=entry.cost,
        seconds=entry.latency,
    )
