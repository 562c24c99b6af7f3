"""Sends health probes to the upstreams.

Each worker process probes each upstream of a new configuration once, except targets whose API key is missing. After a
failed probe or a failed call, the worker process probes the upstream again every 30 seconds until a probe succeeds. A
successful call also ends the probes, unless a probe of the router model has failed. The router model is not probed
while no target is known, or if the policy reads files, as the policy `learned` does. If another policy, such as
`fixed`, does not call the router model, the probe of the router model calls no upstream and is repeated every 30
seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..accounting.ledger import Ledger
from ..accounting.log import log
from ..accounting.metrics import Metrics
from ..accounting.request_log import log_probe
from ..config import Secret, Target
from ..dialects.chat.read_request import read_request
from ..errors import ListingError
from ..health import RouterModelHealth, UpstreamHealth
from ..routing.candidates import candidates_of
from ..routing.decide import Policy, ReadsFiles
from ..routing.limits import limits_of
from ..upstreams.fleet import Fleet
from ..upstreams.listing import list_models
from ..upstreams.upstream import Upstream

_INTERVAL = 30.0
"""The minimum number of seconds between two probes of the same upstream by an object of the class `Probe`."""
_QUESTION = b'{"model":"router","messages":[{"role":"user","content":"Hello, how are you?"}]}'

_Health = TypeVar("_Health", UpstreamHealth, RouterModelHealth)


class Probe:
    """Probes the upstreams of a fleet, and provides the health of each upstream.

    The probe of a target requests the list of models from the target, with the target's API key. The state of the
    target is `bad` if no complete HTTP response arrives or the response has status 401 or 403, and `ok` after any other
    response. The probe of the router model requests a decision of the policy about a short request. The state of the
    router model is `bad` if the policy cannot decide about this request. A failed call also makes the state of an
    upstream `bad`, unless the upstream rejected the request. A missing API key makes the state of a target `bad`. If
    a probe has called the router model, the probe ends with a call of the function `learn`, if any.
    """

    def __init__(
        self,
        fleet: Fleet,
        policy: Policy,
        unit: float | None = None,
        now: Callable[[], float] = time.monotonic,
        learn: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._now = now
        self._learn = learn
        self._fleet = fleet
        self._policy = policy
        self._unit = unit
        self._probed_at: dict[str, float] = {}
        self._router_error: str | None = None
        self._router_known = False
        self._router_unused = isinstance(policy, ReadsFiles)
        """Whether the policy never calls the router model, or decided without a call in the latest probe."""

    async def run(self, record: Callable[[Ledger], None]) -> None:
        """Probes the upstreams whose next probe is due.

        If the router model is probed, calls the function `record` with the ledger of this probe.
        """
        # A target without its API key is neither probed nor marked as probed, so that the router API probes the target
        # as soon as the API key appears.
        keyed = [pair for pair in self._fleet.targets if not pair[1].key.missing]
        due = [pair for pair in keyed if self._is_due(pair[1].name, pair[1])]
        probes = [self._probe_target(target, upstream) for target, upstream in due]
        asks_router_model = not isinstance(self._policy, ReadsFiles)
        if (
            asks_router_model
            and self._fleet.targets
            and self._is_due("", self._fleet.router_model, bad=bool(self._router_error))
        ):
            probes.append(self._probe_router(record))
        await asyncio.gather(*probes)

    @property
    def router_model(self) -> RouterModelHealth:
        """The health of the router model."""
        router = self._fleet.router_model
        if self._router_unused and not router.known:
            return RouterModelHealth(state="unused")
        known = self._router_known or router.known
        error = self._router_error if not router.known or router.last_error is None else router.last_error
        return _health(RouterModelHealth, error, known, _missing_file(self._fleet.router, router))

    @property
    def targets(self) -> dict[str, UpstreamHealth]:
        """A mapping from the name of each target to the health of the target."""
        return {
            target.name: _health(UpstreamHealth, _last_error(upstream), upstream.known, _missing_file(target, upstream))
            for target, upstream in self._fleet.targets
        }

    def _is_due(self, name: str, upstream: Upstream, *, bad: bool = False) -> bool:
        now = self._now()
        needed = name not in self._probed_at or bad or not upstream.known or upstream.last_error is not None
        if needed and now - self._probed_at.get(name, -_INTERVAL) >= _INTERVAL:
            self._probed_at[name] = now
            return True
        return False

    async def _probe_target(self, target: Target, upstream: Upstream) -> None:
        reason = None
        try:
            await list_models(upstream, self._fleet.transport)
        except ListingError as error:
            if error.status is None:
                reason = str(error)
            elif error.status in (401, 403):
                reason = f"authentication at the target failed (HTTP status {error.status})"
        if reason and reason != upstream.last_error:
            remedy = "Check the target's `base_url` and API key"
            log(logging.WARNING, f"target `{target.name}`: {reason}. {remedy}", target=target.name)
        upstream.known, upstream.last_error = True, reason

    async def _probe_router(self, record: Callable[[Ledger], None]) -> None:
        request = read_request(_QUESTION)
        limits = limits_of(request, self._fleet, self._unit, Ledger("probe"))
        limits.ledger.turns = 1
        try:
            decision = await self._policy.decide(request, candidates_of(self._fleet), limits, ())
        finally:
            record(limits.ledger)
        reason = decision.reason
        if reason and reason != self._router_error:
            log(logging.WARNING, f"router model: {reason}")
        self._router_known, self._router_error = True, reason
        self._router_unused = reason is None and not limits.ledger.router_calls
        if self._learn is not None and limits.ledger.router_calls:
            await self._learn()


def record_probe(metrics: Metrics, ledger: Ledger) -> None:
    """Records a probe of the router model separately from requests, so that the metrics of requests equal the sums of
    the requests' ledgers."""
    ledger.close()
    metrics.record_probe(ledger)
    log_probe(ledger)


def _last_error(upstream: Upstream) -> str | None:
    return upstream.key.missing or upstream.last_error


def _missing_file(secret: Secret, upstream: Upstream) -> str | None:
    return secret.api_key_file if upstream.key.missing else None


def _health(kind: type[_Health], error: str | None, known: bool, missing_file: str | None) -> _Health:
    if error:
        return kind(state="bad", reason=error, file=missing_file)
    return kind(state="ok" if known else "unknown")
