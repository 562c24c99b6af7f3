"""The operator's own settings: where it looks and what its children get by default."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Mapping, Sequence
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


PREFIX = "RL_ROUTER_OPERATOR_"
_LEVELS = ("debug", "info", "warning", "error")
_FLAGS: tuple[tuple[str, str, str], ...] = (
    ("kubeconfig", "", "the kubeconfig; left out: the pod's service account"),
    ("watch-namespaces", "", "namespaces to look in, by commas; left out: all"),
    ("lease", LEASE, "the name of the Lease by which one operator acts at a time"),
    ("lease-seconds", "15", "for how long it is held: another takes over so long after the last renewal"),
    ("host", "0.0.0.0", "the address of /healthz, /readyz and /metrics"),
    ("port", "8080", "their port"),
    ("workers", "8", "RouterDeployments that are looked at at once"),
    ("resync-seconds", "300", "all of them are looked at again so often"),
    ("log-level", "info", f"one of {', '.join(_LEVELS)}"),
    ("registry", "", "a registry for the default images"),
    ("api-image", "", "the router API's default image"),
    ("model-image", "", "the CPU fallback's default image"),
    ("vllm-image", "", "vLLM's default image for accelerators"),
    ("vllm-cpu-image", "", "vLLM's default image for CPUs"),
    ("image-pull-policy", "", "the children's default: Always, IfNotPresent or Never"),
    ("image-pull-secrets", "", "Secrets for the children's images, by commas"),
    ("monitoring-namespace", "", "whose pods may read the API's metrics"),
    ("https-proxy", "", "HTTPS_PROXY for the children"),
    ("http-proxy", "", "HTTP_PROXY for the children"),
    ("no-proxy", "", "NO_PROXY for the children"),
)
"""(flag, default, what it is); each is an environment variable too: RL_ROUTER_OPERATOR_LOG_LEVEL."""


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings of a command line, flags before variables. Exits where one cannot be used, naming it."""
    parser = argparse.ArgumentParser(prog="python -m rl_router_operator", description="The RL Router operator.")
    for flag, default, text in _FLAGS:
        variable = PREFIX + flag.upper().replace("-", "_")
        shown = f" (default: {default})" if default else ""
        value = environment.get(variable, default)
        parser.add_argument(f"--{flag}", default=value, metavar="…", help=f"{text}{shown}; {variable}")
    given = parser.parse_args(arguments)
    try:
        return _settings(vars(given), environment)
    except ValueError as error:
        parser.error(str(error))


def _settings(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    namespace = environment.get("POD_NAMESPACE", "default")
    return Settings(
        defaults=_defaults(given, environment.get("POD_NAMESPACE", "")),
        kubeconfig=given["kubeconfig"] or environment.get("KUBECONFIG") or None,
        namespaces=_words(given["watch_namespaces"]),
        own_namespace=namespace,
        identity=environment.get("POD_NAME") or socket.gethostname(),
        lease=given["lease"],
        lease_terms=lease_terms(_number(given, "lease_seconds", 3, 3600)),
        host=given["host"],
        port=int(_number(given, "port", 0, 65_535)),
        workers=int(_number(given, "workers", 1, 256)),
        resync_seconds=_number(given, "resync_seconds", 1, 86_400),
        log_level=_one_of(given, "log_level", _LEVELS),
    )


def _defaults(given: Mapping[str, str], namespace: str) -> Defaults:
    names = {"api": "api_image", "llamacpp": "model_image", "vllm": "vllm_image", "vllm_cpu": "vllm_cpu_image"}
    images = {name: given[flag] for name, flag in names.items() if given[flag]}
    proxy = {name.upper(): given[name] for name in ("https_proxy", "http_proxy", "no_proxy") if given[name]}
    policy = given["image_pull_policy"]
    return Defaults(
        images=Images(**images),
        registry=given["registry"],
        image_pull_policy=_one_of(given, "image_pull_policy", ("Always", "IfNotPresent", "Never")) if policy else None,
        image_pull_secrets=_words(given["image_pull_secrets"]),
        proxy=proxy,
        operator_namespace=namespace,
        monitoring_namespace=given["monitoring_namespace"],
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _number(given: Mapping[str, str], name: str, least: float, most: float) -> float:
    try:
        value = float(given[name])
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise ValueError(f"--{name.replace('_', '-')}: give a number from {least:g} to {most:g}, not {given[name]!r}")
    return value


def _one_of(given: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    if given[name] not in words:
        raise ValueError(f"--{name.replace('_', '-')}: give one of {', '.join(words)}, not {given[name]!r}")
    return given[name]
