"""Builds the parts that all children have in common, such as the owner reference, the labels and the annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..objects import naming
from ..objects.kinds import BY_NAME
from ..objects.manifest import Manifest
from ..objects.naming import Component
from ..objects.routerdeployment import RouterDeployment


def child(
    router: RouterDeployment,
    kind: str,
    component: Component,
    *,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> Manifest:
    """Returns the manifest of a child of the RouterDeployment.

    The child's name is `name` or, if `name` is None, the RouterDeployment's name and the component, as in `demo-api`.
    """
    metadata = {
        "name": name or naming.child(router.name, component),
        "namespace": router.namespace,
        "labels": {**router.spec.labels, **(labels or {}), **naming.labels(router.name, component)},
        "annotations": {**router.spec.annotations, **(annotations or {})},
        "ownerReferences": [router.owner_reference],
    }
    return {
        "apiVersion": BY_NAME[kind].api_version,
        "kind": kind,
        "metadata": without_empty(metadata),
        **body,
    }


def without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields except those whose value is None, an empty list, an empty tuple or an empty mapping."""
    return {name: value for name, value in fields.items() if value is not None and value not in ([], {}, ())}


def keyed(key: str, *lists: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns one list with the entries of all lists, but only the last of several entries with the same key.

    The parameter `key` is the name of the field that contains an entry's key.
    """
    return list({entry[key]: entry for entries in lists for entry in entries}.values())
