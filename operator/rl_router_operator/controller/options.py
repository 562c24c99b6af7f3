"""Defines the operator's flags and environment variables, and computes the operator's settings from their values."""

from __future__ import annotations

import argparse
import math
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from rl_router_api.config import ConfigurationError, Host, SettingsLayer

from ..cluster.lease import lease_terms
from ..objects.naming import LEASE
from ..resources.defaults import Defaults, Images
from .settings import Settings


def _number(minimum: float, maximum: float) -> BeforeValidator:
    """Returns a validator that accepts a number of at least `minimum` and at most `maximum`."""

    def read_number(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not minimum <= number <= maximum:
            raise ValueError(f"{text!r} is not a number from {minimum:g} to {maximum:g}")
        return number

    return BeforeValidator(read_number)


def _one_of(*choices: str) -> BeforeValidator:
    """Returns a validator that accepts one of the texts `choices`, or None."""

    def read_choice(text: str | None) -> str | None:
        if text is not None and text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return BeforeValidator(read_choice)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _namespaces(text: str) -> tuple[str, ...]:
    names = _names(text)
    if not names:
        raise ValueError(f"{text!r} names no namespace. Omit the option to watch all namespaces")
    return names


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""A tuple of names. Commas separate the names in the value of an option."""
_LEVELS = ("debug", "info", "warning", "error")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


class Options(BaseModel):
    """The options of the operator.

    Each option has a flag, such as `--log-level`, and an environment variable, such as `RL_ROUTER_OPERATOR_LOG_LEVEL`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: str | None = Field(
        None,
        description="path of the kubeconfig file with the address of the API server; default: the value of the"
        " environment variable KUBECONFIG, or else the service account of the operator's pod",
    )
    watch_namespaces: Annotated[tuple[str, ...], BeforeValidator(_namespaces)] = Field(
        (), description="namespaces that the operator watches, separated by commas; default: all namespaces"
    )
    release: str | None = Field(
        None,
        description="name of the operator's release; the operator writes its namespace and the name, as"
        " NAMESPACE/RELEASE, into the field `status.operator` of each RouterDeployment that the operator reconciles;"
        " default: the name of the Lease for leader election",
    )
    lease: str = Field(LEASE, description="name of the Lease for leader election")
    lease_seconds: Annotated[float, _number(3, 3600)] = Field(
        15.0,
        description="seconds after which another process may take over if the leader does not renew the Lease",
    )
    host: Host | None = Field(
        None,
        description="address on which the operator serves /healthz, /readyz and /metrics; default: :: (all IPv4 and"
        " IPv6 addresses) if the environment variable POD_IPS contains an IPv6 address, else 0.0.0.0 (all IPv4"
        " addresses)",
    )
    port: Annotated[int, _number(0, 65_535)] = Field(
        8080, description="port on which the operator serves /healthz, /readyz and /metrics"
    )
    workers: Annotated[int, _number(1, 256)] = Field(
        8, description="maximum number of RouterDeployments reconciled at the same time"
    )
    resync_seconds: Annotated[float, _number(1, 86_400)] = Field(
        300.0, description="seconds between two periodic comparisons of every RouterDeployment with its objects"
    )
    log_level: Annotated[str, _one_of(*_LEVELS)] = Field(
        "info", description=f"minimum level of the log lines that the operator writes: {', '.join(_LEVELS)}"
    )
    registry: str = Field(
        "",
        description="registry (example: registry.example.com/team) that the operator puts before the image names in the"
        " options --api-image, --model-image, --vllm-image and --vllm-cpu-image; no default",
    )
    api_image: str | None = Field(
        None, description=f"image of the router API if a RouterDeployment sets no image; default: {Images.api}"
    )
    model_image: str | None = Field(
        None,
        description=f"image of the CPU fallback (llama.cpp) if a RouterDeployment sets no image;"
        f" default: {Images.llamacpp}",
    )
    vllm_image: str | None = Field(
        None,
        description=f"image of vLLM for accelerators if a RouterDeployment sets no image; default: {Images.vllm}",
    )
    vllm_cpu_image: str | None = Field(
        None,
        description=f"image of vLLM for CPUs if a RouterDeployment sets no image; default: {Images.vllm_cpu}",
    )
    image_pull_policy: Annotated[str | None, _one_of(*_PULL_POLICIES)] = Field(
        None,
        description=f"pull policy of images if a RouterDeployment sets no pull policy: {', '.join(_PULL_POLICIES)};"
        " default: Kubernetes chooses the policy",
    )
    image_pull_secrets: Names = Field(
        (), description="names of image pull Secrets for the pods of all routers, separated by commas; no default"
    )
    monitoring_namespace: str = Field(
        "",
        description="namespace whose pods the NetworkPolicies allow to read the metrics of the router API, and also of"
        " the router model if the RouterDeployment enables ServiceMonitors; no default",
    )
    https_proxy: str = Field(
        "", description="value of the environment variable HTTPS_PROXY in the pods of the routers; no default"
    )
    http_proxy: str = Field(
        "", description="value of the environment variable HTTP_PROXY in the pods of the routers; no default"
    )
    no_proxy: str = Field(
        "",
        description="hosts that the pods of the routers reach without a proxy, separated by commas; the operator adds"
        " the hosts to the environment variable NO_PROXY of the pods; no default",
    )


LAYER = SettingsLayer(Options, "RL_ROUTER_OPERATOR_")
_DESCRIPTION = """\
Runs the Kubernetes operator, which creates and updates the objects of each RouterDeployment's router. The Helm chart
installs the operator in a cluster, as docs/kubernetes.md explains. Outside a cluster, set the flag --kubeconfig or the
environment variable KUBECONFIG."""
_EPILOG = """\
A flag overrides the environment variable of the same option. SIGTERM and Ctrl-C stop the operator, but
the routers keep running.

exit codes:
  0   after SIGTERM or Ctrl-C
  1   the operator cannot read its kubeconfig file or service account, or cannot listen on its address and port
  2   the command line or an environment variable is invalid

example:
  {prog} --kubeconfig ~/.kube/config --watch-namespaces routers"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}. See --help.\n")


def read(
    arguments: Sequence[str], environment: Mapping[str, str], prog: str = "python -m rl_router_operator"
) -> Settings:
    """Returns the operator's settings from the command line of the program `prog` and from environment variables.

    A flag overrides the environment variable of the same option. If a value is invalid, the function prints an error
    that names the flag or the variable, and exits with status 2.
    """
    parser = _Parser(
        prog=prog,
        usage="%(prog)s [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    LAYER.add_flags(parser)
    flags = LAYER.chosen_flags(parser.parse_args(arguments))
    try:
        options = LAYER.merged({}, environment, flags)
    except ConfigurationError as error:
        parser.error(str(error))
    return _settings(options, environment)


def _settings(options: Options, environment: Mapping[str, str]) -> Settings:
    defaults = _defaults(options, environment)
    return Settings(
        defaults=defaults,
        kubeconfig=options.kubeconfig or environment.get("KUBECONFIG") or None,
        namespaces=options.watch_namespaces,
        own_namespace=environment.get("POD_NAMESPACE", "default"),
        release=options.release or options.lease,
        identity=environment.get("POD_NAME") or socket.gethostname(),
        lease=options.lease,
        lease_terms=lease_terms(options.lease_seconds),
        host=options.host or defaults.host,
        port=options.port,
        workers=options.workers,
        resync_seconds=options.resync_seconds,
        log_level=options.log_level,
    )


def _defaults(options: Options, environment: Mapping[str, str]) -> Defaults:
    proxy = {"HTTPS_PROXY": options.https_proxy, "HTTP_PROXY": options.http_proxy, "NO_PROXY": options.no_proxy}
    return Defaults(
        images=_images(options),
        registry=options.registry,
        image_pull_policy=options.image_pull_policy,
        image_pull_secrets=options.image_pull_secrets,
        proxy={variable: value for variable, value in proxy.items() if value},
        operator_namespace=environment.get("POD_NAMESPACE", ""),
        monitoring_namespace=options.monitoring_namespace,
        has_ipv6=":" in environment.get("POD_IPS", ""),
    )


def _images(options: Options) -> Images:
    return Images(
        api=options.api_image or Images.api,
        llamacpp=options.model_image or Images.llamacpp,
        vllm=options.vllm_image or Images.vllm,
        vllm_cpu=options.vllm_cpu_image or Images.vllm_cpu,
    )
