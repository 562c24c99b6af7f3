"""Defaults of the children: images, pull secrets, a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

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
