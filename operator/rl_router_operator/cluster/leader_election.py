"""Leader election: only the operator that holds the Lease writes, and the others wait for it."""

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
from .client import Api, UnreachableError

LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")


@dataclass(frozen=True)
class LeaseTerms:
    """In seconds: how long the Lease is held, when a holder that cannot renew it gives up, and how often it tries.

    A holder that has given up starts no write, and a write under way ends before the Lease does.
    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0


def lease_terms(duration: float) -> LeaseTerms:
    """Returns the terms of a Lease with this duration, in the usual proportions."""
    return LeaseTerms(duration, renew_deadline=duration * 2 / 3, retry=duration * 2 / 15)


class Lease:
    """One Lease. Another holder's Lease ends a while after its last change, by the own clock."""

    def __init__(
        self, api: Api, namespace: str, name: str, identity: str, changed: Callable[[bool], None], terms: LeaseTerms
    ) -> None:
        self._api = api
        self._namespace, self._name, self._identity = namespace, name, identity
        self._changed = changed
        self._terms = terms
        self._renewed: float | None = None
        self._led = False
        self._seen: tuple[Manifest, float] = ({}, 0.0)
        self.trouble: str | None = None
        self.missing: str | None = None
        """The API server's words about a missing permission."""

    def is_held(self) -> bool:
        """Returns whether this operator may write now."""
        return self.left() > 0

    def left(self) -> float:
        """Returns the seconds until the Lease ends, and so the maximum for a write; 0 if no write may start."""
        age = math.inf if self._renewed is None else time.monotonic() - self._renewed
        return self._terms.duration - age if age < self._terms.renew_deadline else 0.0

    async def run(self) -> None:
        """Takes the Lease as soon as it is free and renews it; releases it when cancelled."""
        try:
            while True:
                await self._turn()
                self._tell()
                await asyncio.sleep(self._terms.retry)
        finally:
            await self._give_back()

    async def _turn(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._terms.renew_deadline):
                taken = await self._take()
        except (RefusedError, UnreachableError, TimeoutError) as error:
            self._fail(error)
            return
        self.trouble = self.missing = None
        # The Lease may have ended meanwhile, and work was put away until this operator leads again.
        self._tell()
        # The Lease starts before the request, not with its answer.
        self._renewed = began if taken else None

    async def _take(self) -> bool:
        live = await self._api.get(LEASE, self._namespace, self._name)
        if not self._is_free(live):
            return False
        try:
            await (self._api.replace if live else self._api.make)(LEASE, self._lease(live))
        except RefusedError as error:
            # Another operator was faster.
            if error.status == 409:
                return False
            raise
        return True

    def _is_free(self, live: Manifest | None) -> bool:
        # A deleted Lease belongs to its holder until it would have ended.
        spec = live.get("spec") or {} if live else self._seen[0]
        holder = spec.get("holderIdentity")
        if self._seen[0] != spec:
            self._seen = (spec, time.monotonic())
        duration = float(spec.get("leaseDurationSeconds") or self._terms.duration)
        return not holder or holder == self._identity or time.monotonic() - self._seen[1] > duration

    def _lease(self, live: Manifest | None) -> Manifest:
        before = (live or {}).get("spec") or {}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        same = before.get("holderIdentity") == self._identity
        transitions = int(before.get("leaseTransitions") or 0)
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._terms.duration)),
            "acquireTime": before["acquireTime"] if same and "acquireTime" in before else now,
            "renewTime": now,
            "leaseTransitions": transitions if same or live is None else transitions + 1,
        }
        return self._manifest(live, spec)

    def _manifest(self, live: Manifest | None, spec: Manifest) -> Manifest:
        metadata = {"name": self._name, "namespace": self._namespace}
        if live:
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}

    def _fail(self, error: Exception) -> None:
        trouble = str(error) or "the API server does not answer"
        if isinstance(error, RefusedError) and error.is_missing_permission:
            self.missing = trouble
        if trouble != self.trouble:
            log(logging.WARNING, f"the Lease {self._name} cannot be taken or renewed: {trouble}")
        self.trouble = trouble

    def _tell(self) -> None:
        leads = self.is_held()
        if leads != self._led:
            self._led = leads
            log(logging.INFO, "leading" if leads else "standing by", identity=self._identity)
            self._changed(leads)

    async def _give_back(self) -> None:
        if not self.is_held():
            return
        self._renewed = None
        try:
            async with asyncio.timeout(self._terms.retry):
                live = await self._api.get(LEASE, self._namespace, self._name)
                if live and live["spec"].get("holderIdentity") == self._identity:
                    spec = {**live["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._api.replace(LEASE, self._manifest(live, spec))
        except (RefusedError, UnreachableError, TimeoutError) as error:
            log(logging.WARNING, f"the Lease {self._name} could not be given back: {error}")
