"""Defines the operator's defaults for the children: images, pull secrets and a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

VERSION = version("rl-router")
VLLM_VERSION = "v0.32.0"
"""The version of vLLM in the default images. It is defined only here."""


@dataclass(frozen=True)
class Images:
    """The default images of the children, without a registry."""

    api: str = f"rl-router/api:{VERSION}"
    llamacpp: str = f"rl-router/model:{VERSION}"
    vllm: str = f"vllm/vllm-openai:{VLLM_VERSION}"
    vllm_cpu: str = f"vllm/vllm-openai-cpu:{VLLM_VERSION}"


@dataclass(frozen=True)
class Defaults:
    """Values for fields that a RouterDeployment does not set. `registry` is the prefix of the default images."""

    images: Images = Images()
    registry: str = ""
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    proxy: Mapping[str, str] = field(default_factory=dict)
    """HTTPS_PROXY, HTTP_PROXY and NO_PROXY for the children."""
    operator_namespace: str = ""
    """The namespace whose pods may reach the API's admin port. If it is empty, the NetworkPolicy has no rule for it."""
    monitoring_namespace: str = ""
    """The namespace whose pods may read metrics. If it is empty, the NetworkPolicies have no rule for it."""
    has_ipv6: bool = False
    """Whether pods in this cluster have IPv6 addresses, alone or beside IPv4 addresses."""

    @property
    def host(self) -> str:
        """The address on which servers in pods listen.

        `::` means all IPv4 and IPv6 addresses. Clusters without IPv6 get `0.0.0.0`, because their nodes may lack IPv6.
        """
        return "::" if self.has_ipv6 else "0.0.0.0"

    def image(self, name: str) -> str:
        """Returns a default image with the registry as its prefix."""
        return f"{self.registry.rstrip('/')}/{name}" if self.registry else name
