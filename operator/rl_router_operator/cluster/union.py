"""Mending a union: where an edit left another member beside ours, the API server refuses the apply. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..manifest import Manifest

_INDEX = re.compile(r"\[[^\]]*\]")
_KEYS = ("name", "mountPath", "uid", "containerPort", "port", "topologyKey")


def removals(desired: Manifest, live: Manifest, fields: list[str]) -> list[dict[str, Any]]:
    """The JSON patch that removes from `live` what stands beside ours where the API server found fault.

    `fields` are paths as in its answer, `spec.template.spec.volumes[0].hostPath`. Empty where nothing stands there.
    """
    paths = {path for field in fields for path in _found(desired, live, _steps(field))}
    if not paths:
        return []
    seen = {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]}
    return [seen, *({"op": "remove", "path": path} for path in sorted(paths))]


def _steps(field: str) -> list[str]:
    return [step for step in _INDEX.sub("", field).split(".") if step]


def _found(desired: Manifest, live: Manifest, steps: list[str]) -> list[str]:
    """In the union that the path names or, where that is a member, in the one around it."""
    for depth in (len(steps), len(steps) - 1):
        paths = [
            f"{path}/{_escaped(key)}"
            for path, ours, theirs in _pairs(desired, live, steps[:depth], "")
            for key in theirs
            if key not in ours
        ]
        if depth and paths:
            return paths
    return []


def _pairs(desired: Any, live: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any, Any]]:
    """(path, wanted, there) for each mapping at the end of the steps that both have; lists by their keys."""
    if isinstance(desired, list) and isinstance(live, list):
        for ours in desired:
            for index, theirs in enumerate(live):
                if _is_same_entry(ours, theirs):
                    yield from _pairs(ours, theirs, steps, f"{path}/{index}")
    elif isinstance(desired, dict) and isinstance(live, dict):
        if not steps:
            yield path, desired, live
        elif steps[0] in desired and steps[0] in live:
            yield from _pairs(desired[steps[0]], live[steps[0]], steps[1:], f"{path}/{_escaped(steps[0])}")


def _is_same_entry(ours: Any, theirs: Any) -> bool:
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return False
    key = next((key for key in _KEYS if key in ours), None)
    return key is not None and ours[key] == theirs.get(key)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
