"""Leader election: only the operator that holds the Lease writes. The others wait for the Lease."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ..log import log
from ..objects.kinds import Kind
from ..objects.manifest import Manifest
from ..objects.refusal import RefusedError
from .client import KubernetesClient, UnreachableError

LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")


@dataclass(frozen=True)
class LeaseTerms:
    """The periods of a Lease in seconds.

    After `renew_deadline` without a renewal, the holder starts no more writes. Its running writes end before the Lease
    does, which is `duration` after the renewal. `retry` is the time between two attempts to take or renew the Lease.
    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0


def lease_terms(duration: float) -> LeaseTerms:
    """Returns the periods of a Lease with this duration, in the proportions that Kubernetes uses: 15, 10 and 2 s."""
    return LeaseTerms(duration, renew_deadline=duration * 2 / 3, retry=duration * 2 / 15)


class Lease:
    """The Lease for leader election.

    The Lease of another holder ends `leaseDurationSeconds` after its last observed change, by this operator's clock.
    `on_change` is called with True when this operator takes the Lease, and with False when it loses the Lease.
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
        self._client = client
        self._namespace, self._name, self._identity = namespace, name, identity
        self._on_change = on_change
        self._terms = terms
        self._renewed: float | None = None
        self._was_leading = False
        self._observed: tuple[Manifest, float] = ({}, 0.0)
        self.last_error: str | None = None
        """The error of the last attempt to take or renew the Lease; None after a success."""
        self.missing_permission: str | None = None
        """The API server's message if the operator may not read or write the Lease; None after a success."""

    def is_held(self) -> bool:
        """Returns whether this operator may write now."""
        return self.seconds_left() > 0

    def seconds_left(self) -> float:
        """Returns the seconds until the Lease ends, which is the maximum for a write; 0 if no write may start."""
        age = math.inf if self._renewed is None else time.monotonic() - self._renewed
        return self._terms.duration - age if age < self._terms.renew_deadline else 0.0

    async def run(self) -> None:
        """Takes the Lease when it is free and renews it. Releases it when the task is cancelled."""
        try:
            while True:
                await self._try()
                self._notify()
                await asyncio.sleep(self._terms.retry)
        finally:
            await self._release()

    async def _try(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._terms.renew_deadline):
                taken = await self._take()
        except (RefusedError, UnreachableError, TimeoutError) as error:
            self._fail(error)
            return
        self.last_error = self.missing_permission = None
        # The Lease may have ended during the request. Its loss must be reported before it is taken again.
        self._notify()
        # The duration of the Lease begins with the request, not with the response.
        self._renewed = began if taken else None

    async def _take(self) -> bool:
        live = await self._client.get(LEASE, self._namespace, self._name)
        if not self._is_free(live):
            return False
        try:
            await (self._client.replace_lease if live else self._client.create_lease)(LEASE, self._lease(live))
        except RefusedError as error:
            # Another operator took the Lease first.
            if error.status == 409:
                return False
            raise
        return True

    def _is_free(self, live: Manifest | None) -> bool:
        # A deleted Lease still belongs to its last holder for the rest of its duration.
        spec = live.get("spec") or {} if live else self._observed[0]
        holder = spec.get("holderIdentity")
        if self._observed[0] != spec:
            self._observed = (spec, time.monotonic())
        duration = float(spec.get("leaseDurationSeconds") or self._terms.duration)
        return not holder or holder == self._identity or time.monotonic() - self._observed[1] > duration

    def _lease(self, live: Manifest | None) -> Manifest:
        previous = (live or {}).get("spec") or {}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        is_renewal = previous.get("holderIdentity") == self._identity
        transitions = int(previous.get("leaseTransitions") or 0)
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._terms.duration)),
            "acquireTime": previous["acquireTime"] if is_renewal and "acquireTime" in previous else now,
            "renewTime": now,
            "leaseTransitions": transitions if is_renewal or live is None else transitions + 1,
        }
        return self._manifest(live, spec)

    def _manifest(self, live: Manifest | None, spec: Manifest) -> Manifest:
        metadata = {"name": self._name, "namespace": self._namespace}
        if live:
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}

    def _fail(self, error: Exception) -> None:
        message = str(error) or f"no response from the API server within {self._terms.renew_deadline:g} s"
        if isinstance(error, RefusedError) and error.is_missing_permission:
            self.missing_permission = message
        if message != self.last_error:
            log(logging.WARNING, f"cannot take or renew the Lease {self._name}: {message}")
        self.last_error = message

    def _notify(self) -> None:
        leads = self.is_held()
        if leads != self._was_leading:
            self._was_leading = leads
            log(logging.INFO, "leading" if leads else "not leading", identity=self._identity)
            self._on_change(leads)

    async def _release(self) -> None:
        if not self.is_held():
            return
        self._renewed = None
        try:
            async with asyncio.timeout(self._terms.retry):
                live = await self._client.get(LEASE, self._namespace, self._name)
                if live and live["spec"].get("holderIdentity") == self._identity:
                    spec = {**live["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.replace_lease(LEASE, self._manifest(live, spec))
        except (RefusedError, UnreachableError, TimeoutError) as error:
            log(logging.WARNING, f"cannot release the Lease {self._name}: {error}")
