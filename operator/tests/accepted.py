"""What tests that apply children to a real API server have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rl_router_operator.objects.kinds import Kind
from rl_router_operator.objects.quantity import amount


def open_definition(kind: Kind) -> dict[str, Any]:
    """A kind that may be absent from a cluster; whatever its fields."""
    group, _, version = kind.api_version.partition("/")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{group}",
            # The API server keeps names under k8s.io to those who say so.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind.kind, "plural": kind.plural},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


def lost(made: Any, kept: Any, path: str = "") -> Iterator[str]:
    """The paths of what the API server would keep otherwise; it writes quantities in its own way."""
    if isinstance(made, dict) and isinstance(kept, dict):
        for name, value in made.items():
            yield from lost(value, kept.get(name), f"{path}.{name}")
    elif isinstance(made, list) and isinstance(kept, list) and len(made) == len(kept):
        for index, value in enumerate(made):
            yield from lost(value, kept[index], f"{path}[{index}]")
    elif made != kept and not _same_amount(made, kept):
        yield path


def _same_amount(made: Any, kept: Any) -> bool:
    try:
        return amount(made) == amount(kept)
    except ValueError:
        return False
