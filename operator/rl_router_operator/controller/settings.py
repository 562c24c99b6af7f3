"""The operator's settings: its namespaces, its intervals, its Lease, and the defaults of the children."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from ..cluster.leader_election import LeaseTerms
from ..objects.naming import LEASE
from ..resources.defaults import Defaults
from .pod_health import Asking


@dataclass(frozen=True)
class Settings:
    """All of them; `kubeconfig` left out: as a pod is told. `namespaces` empty: all of them."""

    defaults: Defaults = field(default_factory=Defaults)
    kubeconfig: str | None = None
    namespaces: tuple[str, ...] = ()
    own_namespace: str = "default"
    identity: str = field(default_factory=socket.gethostname)
    lease: str = LEASE
    lease_terms: LeaseTerms = field(default_factory=LeaseTerms)
    asking: Asking = field(default_factory=Asking)
    host: str = "0.0.0.0"
    port: int = 8080
    workers: int = 8
    resync_seconds: float = 300.0
    """All RouterDeployments are looked at again so often, without a write where nothing has changed."""
    discovery_seconds: float = 60.0
    """Kinds that the cluster lacks are looked for so often."""
    silent_seconds: float = 90.0
    """A watch that says nothing for so long is opened anew, from where it was."""
    log_level: str = "info"
