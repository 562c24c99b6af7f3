"""Elects one process of a release of the operator as the leader by means of a Kubernetes Lease.

Of the processes of a release, only the leader changes objects other than this Lease. All other processes wait until the
Lease is free or has expired.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..log import log
from .client import KubernetesClient
from .lease import Lease, LeaseTerms


class LeaderElection:
    """Elects one process of a release of the operator as the leader.

    The function `on_change` is called with True when this process takes the Lease, and with False after this process
    has lost the Lease.
    """

    def __init__(
        self,
        client: KubernetesClient,
        namespace: str,
        name: str,
        identity: str,
        on_change: Callable[[bool], None],
        terms: LeaseTerms,
    ) -> None:
        self.lease = Lease(client, namespace, name, identity, terms, self._notify)
        self._on_change = on_change
        self._was_leading = False

    async def run(self) -> None:
        """Takes the Lease when it is free or expired, renews it, and releases it when the task is cancelled."""
        try:
            while True:
                await self.lease.attempt()
                await asyncio.sleep(self.lease.pause())
        finally:
            await self.lease.release()

    def _notify(self) -> None:
        leads = self.lease.is_held()
        if leads != self._was_leading:
            self._was_leading = leads
            log(logging.INFO, f"this process {'is' if leads else 'is not'} the leader", identity=self.lease.identity)
            self._on_change(leads)
