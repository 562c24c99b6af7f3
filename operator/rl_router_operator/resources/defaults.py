"""Defines the operator's defaults for the children, such as images, pull secrets and a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

VERSION = version("rl-router")
VLLM_VERSION = "v0.32.0"
"""The version of vLLM in the default images. e2e/images.py, docs/install.md and samples/ also name the version."""


@dataclass(frozen=True)
class Images:
    """The names of the default images of the pods' containers, without a registry."""

    api: str = f"rl-router/api:{VERSION}"
    llamacpp: str = f"rl-router/model:{VERSION}"
    vllm: str = f"vllm/vllm-openai:{VLLM_VERSION}"
    vllm_cpu: str = f"vllm/vllm-openai-cpu:{VLLM_VERSION}"


@dataclass(frozen=True)
class Defaults:
    """The operator's settings for the children, such as defaults for fields that a RouterDeployment does not set.

    The attribute `registry` is the prefix of the default images' names.
    """

    images: Images = Images()
    registry: str = ""
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    proxy: Mapping[str, str] = field(default_factory=dict)
    """The environment variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY for the pods.

    The mapping contains only the variables that are configured.
    """
    operator_namespace: str = ""
    """The operator's namespace, or an empty string if the namespace is unknown.

    The pods in the operator's namespace may connect to the API's admin port.
    """
    monitoring_namespace: str = ""
    """The namespace of Prometheus, or an empty string if the namespace is not configured.

    The pods in this namespace may read the metrics of the API and, if ServiceMonitors are enabled, of the model pods.
    """
    has_ipv6: bool = False
    """Whether pods in the operator's cluster have IPv6 addresses, with or without additional IPv4 addresses."""

    @property
    def host(self) -> str:
        """The address on which servers in pods listen.

        The address `::` means all IPv4 and IPv6 addresses. In a cluster without IPv6, servers in pods listen on
        `0.0.0.0`, because the nodes may not support IPv6.
        """
        return "::" if self.has_ipv6 else "0.0.0.0"

    def image(self, name: str) -> str:
        """Returns the name of a default image, with the registry as its prefix if a registry is configured."""
        return f"{self.registry.rstrip('/')}/{name}" if self.registry else name
