"""Builds the Deployment of the router API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from ..schema import Api
from . import config_map, keys, pods
from .defaults import Defaults
from .objects import child

_GRACE = 45
"""The seconds that an API pod may take to stop.

The time is the sum of 5 s for the preStop hook, 5 s in which the API still accepts requests after SIGTERM, 30 s for
in-flight requests, and 5 s in reserve.
"""
_CONFIG_FOLDER = "/etc/rl-router"
_STATE_FOLDER = "/var/lib/rl-router"
_CA_FILE = "/etc/rl-router-ca/ca-bundle.pem"


def build(router: RouterDeployment, defaults: Defaults) -> Iterator[Manifest]:
    """Yields the Deployment of the router API."""
    api = router.spec.api
    yield child(
        router,
        "Deployment",
        "api",
        spec={
            **_replicas(router),
            "selector": {"matchLabels": naming.selector(router.name, "api")},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": pods.template(router, "api", api, _pod(router, defaults), {}),
        },
    )


def _replicas(router: RouterDeployment) -> dict[str, int]:
    """Returns the field `replicas` of the API's Deployment.

    Returns an empty mapping if an autoscaler sets the number of API pods.
    """
    if router.spec.suspend:
        return {"replicas": 0}
    return {} if router.spec.api.autoscaling else {"replicas": router.spec.api.replicas}


def _pod(router: RouterDeployment, defaults: Defaults) -> dict[str, Any]:
    api = router.spec.api
    spec = pods.pod_spec(router, "api", api, defaults, _container(router, defaults), _volumes(router), _GRACE)
    if api.pod_template.topology_spread_constraints is None:
        spec["topologySpreadConstraints"] = [_node_spread(router)]
    return spec


def _node_spread(router: RouterDeployment) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": naming.selector(router.name, "api")},
        # Spreads the new pods of a rollout independently of the old pods.
        "matchLabelKeys": ["pod-template-hash"],
    }


def _container(router: RouterDeployment, defaults: Defaults) -> dict[str, Any]:
    api = router.spec.api
    return pods.container(
        "api",
        api.image or defaults.image(defaults.images.api),
        api,
        defaults,
        env=pods.variables(_variables(router, defaults)),
        mounts=_mounts(router),
        resources=pods.requests_and_limits(api.resources, cpu="100m", memory="256Mi"),
        ports=[pods.port("http", naming.API_PORT), pods.port("admin", naming.ADMIN_PORT)],
        readinessProbe=pods.probe("/ready", "http", periodSeconds=2, timeoutSeconds=5, failureThreshold=2),
        livenessProbe=pods.probe("/health", "http", periodSeconds=10, timeoutSeconds=10, failureThreshold=6),
    )


def _variables(router: RouterDeployment, defaults: Defaults) -> dict[str, str]:
    values = {
        "HOME": pods.HOME,
        "RL_ROUTER_CONFIG": f"{_CONFIG_FOLDER}/{config_map.ROUTER_YAML}",
        "RL_ROUTER_STATE_DIR": _STATE_FOLDER,
        "RL_ROUTER_SERVER__HOST": defaults.host,
        # The image listens on all IPv4 addresses by default. Images of earlier versions do not know the variable.
        **({"RL_ROUTER_SERVER__ADMIN_HOST": defaults.host} if defaults.has_ipv6 else {}),
        **pods.proxy_variables(defaults, naming.child(router.name, "model")),
    }
    if router.spec.api.ca_bundle:
        # The image's own certificates stay valid, because the default of SSL_CERT_DIR still contains them.
        values["SSL_CERT_FILE"] = _CA_FILE
    return values


def _volumes(router: RouterDeployment) -> list[dict[str, Any]]:
    return [
        {"name": "config", "configMap": {"name": naming.child(router.name, "api")}},
        {"name": "state", "emptyDir": {}},
        *keys.volumes(router),
        *_ca_volumes(router.spec.api),
    ]


def _ca_volumes(api: Api) -> list[dict[str, Any]]:
    if not api.ca_bundle:
        return []
    kind = "configMap" if api.ca_bundle.config_map_key_ref else "secret"
    ref = api.ca_bundle.config_map_key_ref or api.ca_bundle.secret_key_ref
    if not ref:
        return []
    source = {"name": ref.name, "items": [{"key": ref.key, "path": _CA_FILE.rpartition("/")[2]}]}
    return [{"name": "ca-bundle", "projected": {"sources": [{kind: source}]}}]


def _mounts(router: RouterDeployment) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        # Mounts the folder, because a subPath mount does not follow changes of the ConfigMap.
        {"name": "config", "mountPath": _CONFIG_FOLDER, "readOnly": True},
        {"name": "state", "mountPath": _STATE_FOLDER},
        *keys.mounts(router),
    ]
    if router.spec.api.ca_bundle:
        mounts.append({"name": "ca-bundle", "mountPath": _CA_FILE.rpartition("/")[0], "readOnly": True})
    return mounts
