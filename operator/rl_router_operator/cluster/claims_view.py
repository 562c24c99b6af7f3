"""The claims of all operators, as a cluster-wide operator observes them by list-and-watch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ..objects.claims import SCOPE_LABEL
from ..objects.kinds import LEASE
from ..objects.manifest import Manifest
from ..objects.routerdeployment import Key
from .client import KubernetesClient
from .informers import key_of_router
from .lease import Lease
from .list_watch import ListWatch, Source
from .store import Store


class ClaimsView:
    """The observed claims. `own` is the operator's own claim, and `on_change` is called before and after each change.

    The operator must also observe its own renewals. If it does not, the watch is broken, and other claims may be
    missing.
    """

    def __init__(self, client: KubernetesClient, own: Lease, on_change: Callable[[], None]) -> None:
        self._own, self._on_change = own, on_change
        self._store = Store(self._changed)
        source = Source(
            LEASE,
            None,
            {"labelSelector": SCOPE_LABEL},
            key_of_router,
            lambda body: body,
            idle_timeout=own.terms.renew_deadline,
        )
        self._watch = ListWatch(client, self._store, source)
        self._observed: dict[Key, tuple[Manifest, float]] = {}
        self._complete_at = -math.inf

    async def run(self) -> None:
        """Lists and watches the claims until the task is cancelled."""
        await self._watch.run()

    def last_error(self) -> str | None:
        """Returns the error that prevents the watch; None without an error."""
        return self._watch.last_error

    def is_fresh(self) -> bool:
        """Returns whether the view contains a recent renewal of the own claim."""
        return time.monotonic() - self._complete_at < self._own.terms.renew_deadline

    def live(self) -> list[Manifest]:
        """Returns the Leases that have not expired, and forgets the others."""
        now = time.monotonic()
        self._observed = {
            key: (lease, observed)
            for key, (lease, observed) in self._observed.items()
            if now - observed <= self._duration(lease)
        }
        return [lease for lease, _ in self._observed.values()]

    def _changed(self, key: Key, _gone: bool) -> None:
        # The view may have become outdated before this change. Its loss must be reported before it is fresh again.
        self._on_change()
        # A deleted Lease still belongs to its last holder for the rest of its duration.
        if lease := self._store.get(LEASE.kind, *key):
            self._observed[key] = lease, time.monotonic()
            self._observe_own(lease)
        self._on_change()

    def _duration(self, lease: Manifest) -> float:
        return float((lease.get("spec") or {}).get("leaseDurationSeconds") or self._own.terms.duration)

    def _observe_own(self, lease: Manifest) -> None:
        spec = lease.get("spec") or {}
        renew_time, requested = self._own.last_request
        if spec.get("holderIdentity") == self._own.identity and spec.get("renewTime") == renew_time:
            self._complete_at = requested
