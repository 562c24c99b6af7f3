"""Uses a list-watch to observe the claims of all releases of the operator in the cluster."""

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
    """A view of the claims of all operators in the cluster. A list-watch keeps the view up to date.

    The parameter `own` is the Lease with which this operator claims the cluster. The function `on_change` is called
    before and after the view processes a change of a claim. The view is fresh while it contains a recent renewal
    of this operator's own claim. If the view is not fresh, the watch may be broken, and the view may lack claims of
    other operators.
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
        """Lists and watches the claims of all operators until the task is cancelled."""
        await self._watch.run()

    def last_error(self) -> str | None:
        """Returns the error that prevents the watch of the claims, or None if no such error is known."""
        return self._watch.last_error

    def is_fresh(self) -> bool:
        """Returns whether the view has a renewal of this operator's claim from the last `renew_deadline` seconds."""
        return time.monotonic() - self._complete_at < self._own.terms.renew_deadline

    def live(self) -> list[Manifest]:
        """Returns the Leases of the claims that have not expired, and removes expired claims from the view."""
        now = time.monotonic()
        self._observed = {
            key: (lease, observed)
            for key, (lease, observed) in self._observed.items()
            if now - observed <= self._duration(lease)
        }
        return [lease for lease, _ in self._observed.values()]

    def _changed(self, key: Key, _gone: bool) -> None:
        # The view may have become outdated before this change. The function `on_change` must observe the outdated view
        # before the view is fresh again.
        self._on_change()
        # A deleted Lease still belongs to its last holder until the duration of the Lease has passed.
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
