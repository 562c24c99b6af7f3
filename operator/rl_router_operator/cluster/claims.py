"""Claims the operator's namespaces or the cluster, so that only one of several releases acts in each namespace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ..log import log
from ..objects.claims import (
    CLAIM_NAMES,
    CLUSTER,
    NAMESPACE,
    SCOPE_LABEL,
    acting_operators,
    is_cluster_wide,
    operator_in,
    read_claim,
)
from ..objects.kinds import LEASE
from ..objects.manifest import Manifest
from .claims_view import ClaimsView
from .client import KubernetesClient
from .lease import Lease, LeaseTerms

CLAIM_TERMS = LeaseTerms(duration=30.0, renew_deadline=20.0, retry=4.0, renewal=10.0)
"""All operators of a cluster need the same periods. With these, another operator takes over within 30 s (expiry), two
retries, and 30 s in which a new claim leaves alone the RouterDeployments of another operator: 68 s in all."""


@dataclass(frozen=True)
class Scope:
    """What an operator claims. `operator` is the namespace and name of its release.

    Without `namespaces`, the operator claims the cluster by a Lease in `own_namespace`.
    """

    operator: str
    own_namespace: str
    namespaces: tuple[str, ...]


class Claims:
    """The claims of one operator, and the decision in which namespaces it acts.

    Only the elected process of a release takes and renews the claims. `leads` returns whether this process is elected.
    `on_change` is called when the namespaces in which this operator or another one acts have changed.
    """

    def __init__(
        self,
        client: KubernetesClient,
        scope: Scope,
        terms: LeaseTerms,
        leads: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._scope, self._terms, self._leads, self._on_change = scope, terms, leads, on_change
        label = NAMESPACE if scope.namespaces else CLUSTER
        self._leases = {
            namespace: _ClaimLease(client, namespace, scope.operator, terms, self._update, label)
            for namespace in scope.namespaces or (scope.own_namespace,)
        }
        self._view = None if scope.namespaces else ClaimsView(client, self._lease_of(scope.own_namespace), self._update)
        self._acting: dict[str, str] = {}
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Takes and renews the claims while this process is elected, until the task is cancelled.

        The claims are not released at the end, so that another operator does not take over during a restart.
        """
        async with asyncio.TaskGroup() as tasks:
            if self._view:
                tasks.create_task(self._view.run())
            for lease in self._leases.values():
                tasks.create_task(self._hold(lease))
            tasks.create_task(self._observe_expiry())

    def wake(self) -> None:
        """Makes all claims follow a change of the election immediately."""
        self._woken.set()
        self._woken = asyncio.Event()
        self._update()

    def acts_in(self, namespace: str) -> bool:
        """Returns whether this operator may write in a namespace now."""
        return self.seconds_left(namespace) > 0

    def seconds_left(self, namespace: str) -> float:
        """Returns the maximum duration of a write in a namespace that starts now; 0 if no write may start."""
        is_blind = self._view is not None and not self._view.is_fresh()
        if is_blind or operator_in(namespace, self._acting) != self._scope.operator:
            return 0.0
        return self._lease_of(namespace).seconds_left()

    def seconds_until_takeover(self, namespace: str) -> float:
        """Returns the seconds until this operator may change RouterDeployments that another operator reconciled.

        Until the claim is as old as its duration, the other operator may not know it.
        """
        return max(0.0, self._terms.duration - self._lease_of(namespace).seconds_held())

    def yields(self) -> dict[str, str]:
        """Returns the operators to which this operator yields, by namespace."""
        return {scope: other for scope, other in self._acting.items() if other != self._scope.operator}

    def obstacles(self) -> list[str]:
        """Returns the missing permissions that prevent this operator from claiming its namespaces."""
        messages = [lease.missing_permission for lease in self._leases.values()]
        if self._view:
            messages.append(self._view.last_error())
        return [message for message in messages if message]

    def _lease_of(self, namespace: str) -> Lease:
        return self._leases[namespace if self._scope.namespaces else self._scope.own_namespace]

    async def _hold(self, lease: Lease) -> None:
        while True:
            woken = self._woken
            leads = self._leads()
            if leads:
                await lease.attempt()
            with suppress(TimeoutError):
                async with asyncio.timeout(lease.pause() if leads else None):
                    await woken.wait()

    async def _observe_expiry(self) -> None:
        while True:
            self._update()
            await asyncio.sleep(self._terms.retry / 4)

    def _update(self) -> None:
        before, self._acting = self._acting, self._current()
        if before != self._acting:
            self._log(before)
            self._on_change()

    def _current(self) -> dict[str, str]:
        """Returns the acting operator by namespace, without this operator if its own claim does not hold."""
        if not self._leads():
            return {}
        if self._view is None:
            return {namespace: holder for namespace, lease in self._leases.items() if (holder := lease.holder())}
        if not self._view.is_fresh():
            return {}
        acting = acting_operators(map(read_claim, self._view.live()))
        is_held = self._lease_of(self._scope.own_namespace).is_held()
        return {scope: holder for scope, holder in acting.items() if is_held or holder != self._scope.operator}

    def _log(self, before: dict[str, str]) -> None:
        if not self._leads():
            return
        if self._view and not self._view.is_fresh():
            message = "the watch of the claims has not returned the operator's own claim for"
            log(logging.WARNING, f"{message} {self._terms.renew_deadline:g} s, so the operator writes nothing")
            return
        for scope, operator in self._acting.items():
            if before.get(scope) != operator:
                is_own = operator == self._scope.operator
                message = "acting on RouterDeployments" if is_own else f"yielding RouterDeployments to {operator}"
                log(logging.INFO, message, namespace=scope)


class _ClaimLease(Lease):
    """The Lease of a claim. The Lease's label never changes between the scopes."""

    def __init__(
        self,
        client: KubernetesClient,
        namespace: str,
        identity: str,
        terms: LeaseTerms,
        on_change: Callable[[], None],
        scope: str,
    ) -> None:
        super().__init__(client, namespace, CLAIM_NAMES[0], identity, terms, on_change, {SCOPE_LABEL: scope})
        self._is_cluster_wide = scope == CLUSTER

    async def read(self) -> Manifest | None:
        """Returns the Lease by its first name, or by the second if a claim of the other scope has the first name."""
        for name in CLAIM_NAMES:
            self.name, live = name, await self.client.get(LEASE, self.namespace, name)
            if live is None or is_cluster_wide(live) == self._is_cluster_wide:
                break
        return live
