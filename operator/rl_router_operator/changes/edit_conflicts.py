"""Computes repairs of manual edits that make the API server reject the operator's apply, or later the child's pods.

A manual edit may replace the member of a union or add a second member. For example, a manual edit adds a second source
to a volume, although a volume may have only one source. One JSON patch removes the added member of a union and adds the
desired member if the member is missing, because the API server also rejects a union without members. A manual edit may
also change the key of an entry in a keyed list, so that the entry conflicts with the desired entry. The JSON patch
replaces the edited entry with the desired entry, or removes the edited entry. A JSON patch makes its field manager a
second owner of the fields that the patch writes. A field with a second owner would remain in the object after the
operator has stopped applying the field. Therefore the operator removes the ownership of the patch's field manager as
soon as the object needs no other change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER

MANAGER = f"{FIELD_MANAGER}-mending"

_INDEX = re.compile(r"\[[^\]]*\]")
_KEYS = ("mountPath", "containerPort", "port", "uid", "topologyKey", "name")
"""The names of the key fields of keyed lists. The key of an entry is the first of these fields that the entry has.

The key of a port also contains the port's protocol, but not the port's name.
"""
_POD = "spec.template.spec"
_UNIONS = [
    f"{_POD}.{union}".split(".")
    for union in (
        "volumes",
        "containers.env",
        "containers.lifecycle.preStop",
        *(f"containers.{probe}Probe" for probe in ("startup", "readiness", "liveness")),
    )
]
_BUDGET = ("minAvailable", "maxUnavailable")
"""The members of the union in the spec of a PodDisruptionBudget."""
_WHOLES: tuple[list[str], ...] = ([], ["containers"], ["initContainers"])
"""The paths, relative to the pod spec, of mappings that are not unions: the pod spec, the containers and the init
containers."""
_UNIQUE = f"{_POD}.containers.ports.name".split(".")


def repairs(desired: Manifest, live: Manifest, fields: list[str]) -> list[dict[str, Any]]:
    """Returns the JSON patch that repairs the fields of `live` in `fields` that conflict with `desired`. The patch is
    empty if none of these fields conflicts.

    The parameter `fields` contains the paths of the fields that the API server rejected, such as
    `spec.template.spec.volumes[0].hostPath`.
    """
    # An admission webhook may report an empty path.
    paths = [steps for field in fields if (steps := _steps(field))]
    unions = {path: pair for steps in paths for path, *pair in _unions(desired, live, steps)}
    entries = {path: entry for steps in paths for path, entry, _ in _clashes(desired, live, steps)}
    members = [operation for path, pair in unions.items() for operation in _exchange(path, *pair)]
    return [*members, *({"op": "replace", "path": path, "value": entry} for path, entry in entries.items())]


def overlooked(desired: Manifest, live: Manifest) -> list[dict[str, Any]]:
    """Returns the JSON patch that removes conflicting edits that the API server has accepted. The patch is empty if no
    such edits exist.

    Kubernetes before version 1.34 accepts some conflicting edits of a StatefulSet, but later rejects the StatefulSet's
    pods.
    """
    paths = [
        *(path for union in _UNIONS for path in _second_members(desired, live, union)),
        *(path for path, entry, live_list in _clashes(desired, live, _UNIQUE) if _has_entry(live_list, entry)),
    ]
    # The removals begin at the end of each list, so that the indices of later removals stay valid.
    return [{"op": "remove", "path": path} for path in reversed(paths)]


def disowning(live: Manifest) -> list[dict[str, Any]]:
    """Returns the JSON patch that removes the ownership of MANAGER, the field manager of earlier repairs. The patch is
    empty if MANAGER owns no field.

    The patch is usable only if `live` contains all entries of `metadata.managedFields`, because the patch replaces all
    entries.
    """
    entries = live["metadata"].get("managedFields", ())
    kept = [entry for entry in entries if entry.get("manager") != MANAGER]
    if len(kept) == len(entries):
        return []
    return [{"op": "replace", "path": "/metadata/managedFields", "value": kept}]


def _steps(field: str) -> list[str]:
    return [step for step in _INDEX.sub("", field).split(".") if step]


def _unions(desired: Manifest, live: Manifest, steps: list[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yields the path, desired and live value of each union at or above `steps` with wrong or missing live members."""
    member, parents = steps[-1], [*_union_pairs(desired, live, steps[:-1])]
    exchanged = [pair for pair in parents if (member in pair[1]) != (member in pair[2])]
    yield from exchanged or (pair for pair in _union_pairs(desired, live, steps) if pair[2].keys() - pair[1].keys())


def _union_pairs(desired: Manifest, live: Manifest, steps: list[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yields the path, the desired members and the live members of each mapping at `steps` that can be a union.

    The mappings within a pod spec can be unions, except the containers. A PodDisruptionBudget has one union. All other
    mappings may have fields of other clients, which a repair must not remove.
    """
    if steps == ["spec"]:
        for path, *sides in _pairs(desired, live, steps, ""):
            desired_members, live_members = ({key: side[key] for key in _BUDGET if key in side} for side in sides)
            yield path, desired_members, live_members
    elif steps[:3] == _POD.split(".") and steps[3:] not in _WHOLES:
        yield from _pairs(desired, live, steps, "")


def _second_members(desired: Manifest, live: Manifest, union: list[str]) -> Iterator[str]:
    for path, desired_union, live_union in _pairs(desired, live, union, ""):
        if desired_union.keys() <= live_union.keys():
            for name in live_union.keys() - desired_union.keys():
                # Members are mappings, except `value` of an environment variable. A probe's other fields are numbers.
                if isinstance(live_union[name], dict) or name == "value":
                    yield f"{path}/{_escaped(name)}"


def _exchange(path: str, desired: Any, live: Any) -> Iterator[dict[str, Any]]:
    for key in live.keys() - desired.keys():
        yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
    for key in desired.keys() - live.keys():
        yield {"op": "add", "path": f"{path}/{_escaped(key)}", "value": desired[key]}


def _clashes(desired: Manifest, live: Manifest, steps: list[str]) -> Iterator[tuple[str, Any, list[Any]]]:
    """Yields the path of each live entry that conflicts with a desired entry, the desired entry, and the live list."""
    *to_list, leaf = steps
    for path, desired_parent, live_parent in _pairs(desired, live, to_list[:-1], "") if to_list else ():
        desired_list, live_list = desired_parent.get(to_list[-1]), live_parent.get(to_list[-1])
        if isinstance(desired_list, list) and isinstance(live_list, list):
            for index, entry in enumerate(live_list):
                if replacement := _clashing(entry, leaf, desired_list):
                    yield f"{path}/{_escaped(to_list[-1])}/{index}", replacement, live_list


def _clashing(entry: Any, leaf: str, desired_list: list[Any]) -> Any:
    """Returns the desired entry that conflicts with the live entry `entry`, or None if no entry conflicts.

    A live entry conflicts with a desired entry if both have the same value in the field that `leaf` names, but no
    desired entry has the key of the live entry.
    """
    if not isinstance(entry, dict) or leaf not in entry or _has_entry(desired_list, entry):
        return None
    return next((item for item in desired_list if isinstance(item, dict) and item.get(leaf) == entry[leaf]), None)


def _pairs(desired: Any, live: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yields the path, the desired value and the live value of each mapping at `steps` in both objects.

    The entries of a desired list and a live list are paired by their keys.
    """
    if isinstance(desired, list) and isinstance(live, list):
        for desired_entry in desired:
            for index, live_entry in enumerate(live):
                if is_same_entry(desired_entry, live_entry):
                    yield from _pairs(desired_entry, live_entry, steps, f"{path}/{index}")
    elif isinstance(desired, dict) and isinstance(live, dict):
        if not steps:
            yield path, desired, live
        elif steps[0] in desired and steps[0] in live:
            yield from _pairs(desired[steps[0]], live[steps[0]], steps[1:], f"{path}/{_escaped(steps[0])}")


def _has_entry(entries: list[Any], entry: Any) -> bool:
    return any(is_same_entry(candidate, entry) for candidate in entries)


def is_same_entry(entry: Any, other: Any) -> bool:
    """Returns whether two entries of a keyed list have the same key."""
    if not isinstance(entry, dict) or not isinstance(other, dict):
        return False
    key = next((key for key in _KEYS if key in entry), None)
    return key is not None and entry[key] == other.get(key) and _protocol(entry) == _protocol(other)


def _protocol(entry: dict[str, Any]) -> Any:
    """Returns the protocol of a port. The protocol is part of the key of a port, and the default protocol is TCP."""
    return entry.get("protocol", "TCP")


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
