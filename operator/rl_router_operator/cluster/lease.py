"""Takes, renews and releases a Kubernetes Lease, which has at most one holder at a time.

The holder renews the Lease, and another process may take the Lease when the Lease is free or has expired.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ..log import log
from ..objects.kinds import LEASE
from ..objects.manifest import Manifest
from ..objects.refusal import RefusedError
from .client import KubernetesClient
from .transport import UnreachableError


@dataclass(frozen=True)
class LeaseTerms:
    """The periods in seconds for the renewal and the expiry of a Lease.

    The Lease expires `duration` seconds after the last renewal of the Lease. While the last renewal is more than
    `renew_deadline` seconds ago, the holder starts no writes except renewals. The writes that the holder has already
    started end before the Lease expires. The period `retry` is the time between two attempts to take the Lease, and
    between two attempts to renew the Lease after a failure. The period `renewal` is the time from one successful
    renewal to the next renewal. If `renewal` is None, the holder renews the Lease every `retry` seconds.
    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0
    renewal: float | None = None


def lease_terms(duration: float) -> LeaseTerms:
    """Returns the periods of a Lease that lasts `duration` seconds.

    The periods have the same proportions as in Kubernetes' own components, which use a duration of 15 s, a renew
    deadline of 10 s and a retry period of 2 s.
    """
    return LeaseTerms(duration, renew_deadline=duration * 2 / 3, retry=duration * 2 / 15)


class Lease:
    """A Lease that this operator can take, renew and release.

    For this operator, the Lease of another holder has expired if the operator has observed no change of the Lease for
    the seconds in the Lease's field `leaseDurationSeconds`, or for `terms.duration` if the field is not set. The
    function `on_change` is called after the result of each attempt to take or renew the Lease is recorded. If the
    attempt ends without an error, the function `on_change` is also called before the result is recorded, because the
    Lease may have expired during the attempt.
    """

    def __init__(
        self,
        client: KubernetesClient,
        namespace: str,
        name: str,
        identity: str,
        terms: LeaseTerms,
        on_change: Callable[[], None],
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.client, self.terms = client, terms
        self.namespace, self.name, self.identity = namespace, name, identity
        self.last_error: str | None = None
        """The error of the last attempt to take or renew the Lease, or None if the attempt ended without an error."""
        self.missing_permission: str | None = None
        """The API server's last message that the operator may not read or write the Lease, or None if no such message
        has arrived since the last attempt without an error."""
        self.last_request: tuple[str, float] = ("", -math.inf)
        """The `renewTime` and the monotonic time in seconds of the last request to take or renew the Lease."""
        self._on_change = on_change
        self._labels = labels
        self._renewed: float | None = None
        self._taken = 0.0
        self._observed: tuple[Manifest, float] = ({}, 0.0)

    def is_held(self) -> bool:
        """Returns whether this operator holds the Lease and may start a write."""
        return self.seconds_left() > 0

    def seconds_left(self) -> float:
        """Returns the seconds until the Lease expires, or 0 if this operator may not start a write now.

        A write that starts now must end before the Lease expires.
        """
        age = math.inf if self._renewed is None else time.monotonic() - self._renewed
        return self.terms.duration - age if age < self.terms.renew_deadline else 0.0

    def seconds_held(self) -> float:
        """Returns the seconds since this operator took the Lease, or 0 if this operator may not start a write now."""
        return time.monotonic() - self._taken if self.is_held() else 0.0

    def holder(self) -> str:
        """Returns the identity of the Lease's holder, or an empty string if the Lease is free or has expired.

        The result is also empty if this operator is the holder but may not start a write now.
        """
        if self.is_held():
            return self.identity
        spec, observed = self._observed
        holder = str(spec.get("holderIdentity") or "")
        return "" if holder == self.identity or self._has_expired(spec, observed) else holder

    def pause(self) -> float:
        """Returns the seconds until the next attempt to take or renew the Lease."""
        renewal = self.terms.renewal if self.is_held() and not self.last_error else None
        return renewal or self.terms.retry

    async def attempt(self) -> None:
        """Takes the Lease if the Lease is free or has expired, or renews the Lease if this operator holds the Lease."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.terms.renew_deadline):
                taken = await self._take()
        except (RefusedError, UnreachableError, TimeoutError) as error:
            self._fail(error)
            return
        self.last_error = self.missing_permission = None
        # The Lease may have expired during the request. The loss must be reported before the Lease is taken again.
        self._on_change()
        if not self.is_held():
            self._taken = time.monotonic()
        # The duration of the Lease begins with the request, not with the response.
        self._renewed = began if taken else None
        self._on_change()

    async def release(self) -> None:
        """Releases the Lease if this operator holds the Lease, so that another process can take the Lease at once."""
        if not self.is_held():
            return
        self._renewed = None
        try:
            async with asyncio.timeout(self.terms.retry):
                live = await self.read()
                if live and live["spec"].get("holderIdentity") == self.identity:
                    spec = {**live["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self.client.replace_lease(LEASE, self._manifest(live, spec))
        except (RefusedError, UnreachableError, TimeoutError) as error:
            problem = f"the operator cannot release the Lease {self.name}: {str(error) or type(error).__name__}"
            log(logging.WARNING, f"{problem}. No action is needed, because the Lease expires by itself")

    async def read(self) -> Manifest | None:
        """Returns the Lease from the API server, or None if the Lease does not exist."""
        return await self.client.get(LEASE, self.namespace, self.name)

    async def _take(self) -> bool:
        live = await self.read()
        if not self._is_free(live):
            return False
        manifest = self._lease(live)
        self.last_request = manifest["spec"]["renewTime"], time.monotonic()
        try:
            await (self.client.replace_lease if live else self.client.create_lease)(LEASE, manifest)
        except RefusedError as error:
            # Another operator took the Lease first.
            if error.status == 409:
                return False
            raise
        return True

    def _is_free(self, live: Manifest | None) -> bool:
        # A deleted Lease still belongs to its last holder until the duration of the Lease has passed.
        spec = live.get("spec") or {} if live else self._observed[0]
        if self._observed[0] != spec:
            self._observed = (spec, time.monotonic())
        holder = spec.get("holderIdentity")
        return not holder or holder == self.identity or self._has_expired(*self._observed)

    def _has_expired(self, spec: Manifest, observed: float) -> bool:
        return time.monotonic() - observed > float(spec.get("leaseDurationSeconds") or self.terms.duration)

    def _lease(self, live: Manifest | None) -> Manifest:
        previous = (live or {}).get("spec") or {}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        is_renewal = previous.get("holderIdentity") == self.identity
        transitions = int(previous.get("leaseTransitions") or 0)
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.terms.duration)),
            "acquireTime": previous["acquireTime"] if is_renewal and "acquireTime" in previous else now,
            "renewTime": now,
            "leaseTransitions": transitions if is_renewal or live is None else transitions + 1,
        }
        return self._manifest(live, spec)

    def _manifest(self, live: Manifest | None, spec: Manifest) -> Manifest:
        metadata: Manifest = {"name": self.name, "namespace": self.namespace}
        if self._labels:
            metadata["labels"] = dict(self._labels)
        if live:
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}

    def _fail(self, error: Exception) -> None:
        message = str(error) or f"the API server did not respond within {self.terms.renew_deadline:g} s"
        if isinstance(error, RefusedError) and error.is_missing_permission:
            self.missing_permission = message
        if message != self.last_error:
            name = f"{self.namespace}/{self.name}"
            log(logging.WARNING, f"the operator cannot take or renew the Lease {name} and tries again: {message}")
        self.last_error = message
        self._on_change()
