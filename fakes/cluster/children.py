"""Builds the children of the RouterDeployment `demo` with the code of the operator, without a cluster."""

from __future__ import annotations

from typing import Any

from rl_router_operator.objects.manifest import Manifest, Ref, ref_of
from rl_router_operator.objects.routerdeployment import RouterDeployment, read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults


def demo(**spec: Any) -> RouterDeployment:
    """Returns the parsed RouterDeployment `demo` with the spec `spec`."""
    metadata = {"name": "demo", "namespace": "team", "uid": "uid-of-demo", "generation": 1}
    return read({"metadata": metadata, "spec": spec})


def children(defaults: Defaults | None = None, **spec: Any) -> dict[Ref, Manifest]:
    """Returns a mapping from the kind and the name of each child of the RouterDeployment `demo` to the child."""
    built = desired(demo(**spec), defaults or Defaults())
    by_ref = {ref_of(child): child for child in built}
    assert len(by_ref) == len(built)
    return by_ref


def pod(component: str, defaults: Defaults | None = None, **spec: Any) -> Manifest:
    """Returns the pod template of the component `model` or `api`."""
    kind = {"model": "StatefulSet", "api": "Deployment"}[component]
    template: Manifest = children(defaults, **spec)[kind, f"demo-{component}"]["spec"]["template"]
    return template


def container(component: str, defaults: Defaults | None = None, **spec: Any) -> Manifest:
    """Returns the manifest of the only container in the pods of the component `model` or `api`."""
    (only,) = pod(component, defaults, **spec)["spec"]["containers"]
    return dict(only)


def env(component: str, defaults: Defaults | None = None, **spec: Any) -> dict[str, Any]:
    """Returns a mapping from the name of each environment variable of a container to the variable's `value` or
    `valueFrom`."""
    variables = container(component, defaults, **spec)["env"]
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in variables}


def mounts(component: str, **spec: Any) -> dict[str, Manifest]:
    """Returns a mapping from each mount path of a container to the fields of the volume mount and, if the pod template
    lists the volume, of the volume."""
    template = pod(component, **spec)["spec"]
    volumes = {volume["name"]: volume for volume in template["volumes"]}
    (only,) = template["containers"]
    # The template lists no volume for a volumeClaimTemplate of the StatefulSet.
    return {mount["mountPath"]: {**volumes.get(mount["name"], {}), **mount} for mount in only["volumeMounts"]}
