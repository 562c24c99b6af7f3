"""The operator's own settings: where it looks and what its children get by default."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from .rbac import LEASE

VERSION = version("rl-router")
VLLM_VERSION = "v0.32.0"
"""The one place that names the engine's version."""


@dataclass(frozen=True)
class Images:
    """The default images of the children, without a registry."""

    api: str = f"rl-router/api:{VERSION}"
    llamacpp: str = f"rl-router/model:{VERSION}"
    vllm: str = f"vllm/vllm-openai:{VLLM_VERSION}"
    vllm_cpu: str = f"vllm/vllm-openai-cpu:{VLLM_VERSION}"


@dataclass(frozen=True)
class Defaults:
    """What the children get where their RouterDeployment does not say; `registry` is put before the default images."""

    images: Images = Images()
    registry: str = ""
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    proxy: Mapping[str, str] = field(default_factory=dict)
    """HTTPS_PROXY, HTTP_PROXY and NO_PROXY for the children."""
    operator_namespace: str = ""
    """Whose pods may reach the API's admin port; empty: no rule for it."""
    monitoring_namespace: str = ""
    """Likewise, for metrics."""

    def image(self, name: str) -> str:
        """A default image with the registry before it."""
        return f"{self.registry.rstrip('/')}/{name}" if self.registry else name


@dataclass(frozen=True)
class LeaseTerms:
    """In seconds: for how long the Lease is held, when a holder that could not renew it gives up, how often it tries.

    After giving up no write begins, and one under way ends before the Lease does.
    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0


def lease_terms(duration: float) -> LeaseTerms:
    """The terms of a Lease of so many seconds, in the usual proportions."""
    return LeaseTerms(duration, renew_deadline=duration * 2 / 3, retry=duration * 2 / 15)


@dataclass(frozen=True)
class Asking:
    """Seconds between two questions to an API pod about how it is: while its router is Ready, and while it is not."""

    settled: float = 30.0
    unsettled: float = 10.0


@dataclass(frozen=True)
class Settings:
    """All of them; `kubeconfig` left out: as a pod is told. `namespaces` empty: all of them."""

    defaults: Defaults = Defaults()
    kubeconfig: str | None = None
    namespaces: tuple[str, ...] = ()
    own_namespace: str = "default"
    identity: str = field(default_factory=socket.gethostname)
    lease: str = LEASE
    lease_terms: LeaseTerms = LeaseTerms()
    asking: Asking = Asking()
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
