"""The operator's settings: its namespaces, its intervals, its Lease, and the defaults of the children."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from ..cluster.claims import CLAIM_TERMS, Scope
from ..cluster.lease import LeaseTerms
from ..objects.naming import LEASE
from ..resources.defaults import Defaults
from .pod_health import ProbeIntervals


@dataclass(frozen=True)
class Settings:
    """The settings of the operator.

    Without `kubeconfig`, the operator uses the pod's service account. Without `namespaces`, it watches all namespaces.
    All processes of a release have the same `release`, and each of them has its own `identity`.
    """

    defaults: Defaults = field(default_factory=Defaults)
    kubeconfig: str | None = None
    namespaces: tuple[str, ...] = ()
    own_namespace: str = "default"
    release: str = LEASE
    identity: str = field(default_factory=socket.gethostname)
    lease: str = LEASE
    lease_terms: LeaseTerms = field(default_factory=LeaseTerms)
    claim_terms: LeaseTerms = CLAIM_TERMS
    probe_intervals: ProbeIntervals = field(default_factory=ProbeIntervals)
    host: str = "0.0.0.0"
    port: int = 8080
    workers: int = 8
    resync_seconds: float = 300.0
    """Seconds between two reconciliations of a RouterDeployment. They write nothing if nothing has changed."""
    discovery_seconds: float = 60.0
    """Seconds between attempts to list an optional kind that the cluster does not have."""
    idle_timeout: float = 90.0
    """Seconds without data after which the operator restarts a watch from the last version that it received."""
    log_level: str = "info"

    @property
    def scope(self) -> Scope:
        """Returns what the operator claims."""
        return Scope(f"{self.own_namespace}/{self.release}", self.own_namespace, self.namespaces)
