"""What a RouterDeployment called `demo` is turned into, for tests that look at parts of it."""

from __future__ import annotations

from typing import Any

from rl_router_operator.objects.manifest import Manifest, Ref, ref_of
from rl_router_operator.objects.routerdeployment import RouterDeployment, read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults


def demo(**spec: Any) -> RouterDeployment:
    """The RouterDeployment with that spec, as the API server stores it."""
    metadata = {"name": "demo", "namespace": "team", "uid": "uid-of-demo", "generation": 1}
    return read({"metadata": metadata, "spec": spec})


def children(defaults: Defaults | None = None, **spec: Any) -> dict[Ref, Manifest]:
    """Its children by kind and name."""
    made = desired(demo(**spec), defaults or Defaults())
    found = {ref_of(child): child for child in made}
    assert len(found) == len(made)
    return found


def pod(component: str, defaults: Defaults | None = None, **spec: Any) -> Manifest:
    """The pod template of `model` or `api`."""
    kind = {"model": "StatefulSet", "api": "Deployment"}[component]
    template: Manifest = children(defaults, **spec)[kind, f"demo-{component}"]["spec"]["template"]
    return template


def container(component: str, defaults: Defaults | None = None, **spec: Any) -> Manifest:
    """The container of `model` or `api`."""
    (found,) = pod(component, defaults, **spec)["spec"]["containers"]
    return dict(found)


def env(component: str, defaults: Defaults | None = None, **spec: Any) -> dict[str, Any]:
    """Its variables: the value, or where the value comes from."""
    variables = container(component, defaults, **spec)["env"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in variables}


def mounts(component: str, **spec: Any) -> dict[str, Manifest]:
    """What is mounted in it: the volume by the folder."""
    template = pod(component, **spec)["spec"]
    volumes = {volume["name"]: volume for volume in template["volumes"]}
    (found,) = template["containers"]
    # A claim of the StatefulSet's own is no volume of the template.
    return {mount["mountPath"]: {**volumes.get(mount["name"], {}), **mount} for mount in found["volumeMounts"]}
