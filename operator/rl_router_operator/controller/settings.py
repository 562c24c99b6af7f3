"""Defines the operator's settings, such as its namespaces, its intervals and the defaults of the children."""

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

    If `kubeconfig` is not set, the operator uses the service account of its pod. If `namespaces` is empty, the operator
    watches all namespaces. All processes of a release have the same value of `release`, and each process has its own
    value of `identity`.
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
    """The seconds between two periodic comparisons of all children with their desired state."""
    discovery_seconds: float = 60.0
    """The seconds between two attempts to list an optional kind that the cluster does not have."""
    idle_timeout: float = 90.0
    """The seconds without data after which the operator restarts a watch from the last received resourceVersion.

    The watches of claims have another idle timeout.
    """
    log_level: str = "info"

    @property
    def scope(self) -> Scope:
        """Returns the scope of the operator's claims: the cluster if `namespaces` is empty, or else the namespaces."""
        return Scope(f"{self.own_namespace}/{self.release}", self.own_namespace, self.namespaces)
