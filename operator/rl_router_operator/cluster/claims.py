"""Claims the operator's namespaces or the cluster, so that only one release of the operator acts in each namespace."""

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
"""The periods for the renewal and the expiry of claims. All operators of a cluster must use the same periods.

If an operator stops, another operator that watches the same namespace takes over the RouterDeployments in the namespace
within 68 s. The 68 s consist of 30 s until the claim expires, two retry periods of 4 s each, and 30 s in which an
operator with a new claim does not change RouterDeployments of another operator.
"""


@dataclass(frozen=True)
class Scope:
    """The scope of an operator's claims, which is a list of namespaces or the whole cluster.

    The attribute `operator` is the namespace and the name of the operator's release. If `namespaces` is empty, the
    operator claims the whole cluster with a Lease in the namespace `own_namespace`.
    """

    operator: str
    own_namespace: str
    namespaces: tuple[str, ...]


class Claims:
    """Takes the claims of one operator, and decides in which namespaces this operator acts.

    Only the leader among the processes of a release takes and renews the claims. The function `leads` returns whether
    this process is the leader. The function `on_change` is called when, as far as this process knows, an operator
    begins or stops acting in a namespace.
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
        """Takes and renews the operator's claims while this process is the leader, until the task is cancelled.

        The claims are not released at the end of the task, so that no other operator takes over during a short restart.
        """
        async with asyncio.TaskGroup() as tasks:
            if self._view:
                tasks.create_task(self._view.run())
            for lease in self._leases.values():
                tasks.create_task(self._hold(lease))
            tasks.create_task(self._observe_expiry())

    def wake(self) -> None:
        """Starts or stops the renewal of the claims when this process has become the leader or has stopped leading."""
        self._woken.set()
        self._woken = asyncio.Event()
        self._update()

    def acts_in(self, namespace: str) -> bool:
        """Returns whether this operator may write in a namespace now."""
        return self.seconds_left(namespace) > 0

    def seconds_left(self, namespace: str) -> float:
        """Returns the maximum duration in seconds of a write that starts now in a namespace.

        The result is 0 if no write in the namespace may start now.
        """
        is_blind = self._view is not None and not self._view.is_fresh()
        if is_blind or operator_in(namespace, self._acting) != self._scope.operator:
            return 0.0
        return self._lease_of(namespace).seconds_left()

    def seconds_until_takeover(self, namespace: str) -> float:
        """Returns the seconds until this operator may change another operator's RouterDeployments in a namespace.

        Until this operator has held its claim for `LeaseTerms.duration` seconds, the other operator might not know the
        claim and might still make changes.
        """
        return max(0.0, self._terms.duration - self._lease_of(namespace).seconds_held())

    def yields(self) -> dict[str, str]:
        """Returns the other operators that act in place of this operator, by namespace or ALL_NAMESPACES."""
        return {scope: other for scope, other in self._acting.items() if other != self._scope.operator}

    def obstacles(self) -> list[str]:
        """Returns the errors that prevent this operator from taking or watching claims, such as missing permissions."""
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
        """Returns a mapping from each claimed namespace to the operator that acts in the namespace.

        The mapping names this operator only for the claims that this operator holds. The mapping is empty if this
        process is not the leader, or if the view of the claims is outdated.
        """
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
            seconds = f"{self._terms.renew_deadline:g} s"
            problem = f"the watch of the claims has not returned a renewal of the operator's own claim for {seconds}"
            remedy = "Until a renewal arrives, the operator writes only Leases. Check the connection to the API server"
            log(logging.WARNING, f"{problem}. {remedy}")
            return
        for scope, operator in self._acting.items():
            if before.get(scope) != operator:
                is_own = operator == self._scope.operator
                own = "this operator reconciles the RouterDeployments in the namespace"
                other = f"this operator leaves the RouterDeployments in the namespace to the operator {operator}"
                log(logging.INFO, own if is_own else other, namespace=scope)


class _ClaimLease(Lease):
    """The Lease of a claim. The scope of the claim, which is one namespace or the cluster, never changes."""

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
        """Returns the claim's Lease from the API server, or None if the Lease does not exist.

        The Lease usually has the first name in the tuple CLAIM_NAMES. The Lease has the second name in the tuple
        CLAIM_NAMES if a Lease for a claim with a different scope has the first name.
        """
        for name in CLAIM_NAMES:
            self.name, live = name, await self.client.get(LEASE, self.namespace, name)
            if live is None or is_cluster_wide(live) == self._is_cluster_wide:
                break
        return live
