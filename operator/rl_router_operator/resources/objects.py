"""What all children have in common: their owner, labels and annotations."""

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
    """A child of the RouterDeployment, called `demo-model` or `demo-api` where it has no name of its own."""
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
    """Without what is None or an empty list or mapping: the API server would not keep those."""
    return {name: value for name, value in fields.items() if value is not None and value not in ([], {}, ())}


def keyed(key: str, *lists: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One list of several, each entry by its key; a later one takes an earlier one's place."""
    return list({entry[key]: entry for entries in lists for entry in entries}.values())
