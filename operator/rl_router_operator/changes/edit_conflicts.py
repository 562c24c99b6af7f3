"""Repairs manual edits that make the API server reject the operator's apply, or that it should have rejected.

If an edit added another member to a union (a second source of a volume, say), one patch removes that member and adds
the desired one, because the API server also rejects a union without a member. If an edit changed the key of an entry of
a keyed list, and the entry clashes with the desired one, the desired one replaces it. A patch makes its manager a
second owner of the desired fields. They would then stay when the operator drops them. So that ownership is ended at
once.
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
"""The keys of entries of keyed lists, the first that an entry has: a port also has a name, which is not its key."""
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
_UNIQUE = f"{_POD}.containers.ports.name".split(".")


def repairs(desired: Manifest, live: Manifest, fields: list[str]) -> list[dict[str, Any]]:
    """Returns the JSON patch that removes what conflicts with the desired fields from `live`; empty if nothing does.

    `fields` are those that the API server rejected, as it writes them: `spec.template.spec.volumes[0].hostPath`.
    """
    # An admission webhook may name no field at all.
    steps = [found for field in fields if (found := _steps(field))]
    unions = {path: pair for each in steps for path, *pair in _unions(desired, live, each)}
    entries = {path: entry for each in steps for path, entry, _ in _clashes(desired, live, each)}
    members = [operation for path, (ours, theirs) in unions.items() for operation in _exchange(path, ours, theirs)]
    return [*members, *({"op": "replace", "path": path, "value": entry} for path, entry in entries.items())]


def overlooked(desired: Manifest, live: Manifest) -> list[dict[str, Any]]:
    """Returns the JSON patch that removes conflicts that the API server did not reject; empty if there are none.

    Kubernetes before 1.34 accepts a StatefulSet whose pods it then rejects.
    """
    found = [
        *(each for union in _UNIONS for each in _second_members(desired, live, union)),
        *(path for path, ours, there in _clashes(desired, live, _UNIQUE) if _has_entry(there, ours)),
    ]
    # From the end, so that a removal does not change the indices of the others.
    return [{"op": "remove", "path": path} for path in reversed(found)]


def disowning(live: Manifest) -> list[dict[str, Any]]:
    """Returns the JSON patch that ends the ownership that a repair left; `live` needs all of its managedFields."""
    entries = live["metadata"].get("managedFields", ())
    kept = [entry for entry in entries if entry.get("manager") != MANAGER]
    if len(kept) == len(entries):
        return []
    return [{"op": "replace", "path": "/metadata/managedFields", "value": kept}]


def _steps(field: str) -> list[str]:
    return [step for step in _INDEX.sub("", field).split(".") if step]


def _unions(desired: Manifest, live: Manifest, steps: list[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yields (path, desired, live) of each union whose live member is not the desired one."""
    member, around = steps[-1], [*_pairs(desired, live, steps[:-1], "")]
    exchanged = [pair for pair in around if (member in pair[1]) != (member in pair[2])]
    yield from exchanged or (pair for pair in _pairs(desired, live, steps, "") if pair[2].keys() - pair[1].keys())


def _second_members(desired: Manifest, live: Manifest, union: list[str]) -> Iterator[str]:
    for path, ours, theirs in _pairs(desired, live, union, ""):
        if ours.keys() <= theirs.keys():
            for name in theirs.keys() - ours.keys():
                # The other fields of a probe are numbers; the value of a variable is a member.
                if isinstance(theirs[name], dict) or name == "value":
                    yield f"{path}/{_escaped(name)}"


def _exchange(path: str, ours: Any, theirs: Any) -> Iterator[dict[str, Any]]:
    for key in theirs.keys() - ours.keys():
        yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
    for key in ours.keys() - theirs.keys():
        yield {"op": "add", "path": f"{path}/{_escaped(key)}", "value": ours[key]}


def _clashes(desired: Manifest, live: Manifest, steps: list[str]) -> Iterator[tuple[str, Any, list[Any]]]:
    """Yields (path, desired entry, live entries) of each live entry with a desired value under another key."""
    *to_list, leaf = steps
    for path, ours, theirs in _pairs(desired, live, to_list[:-1], "") if to_list else ():
        wanted, there = ours.get(to_list[-1]), theirs.get(to_list[-1])
        if isinstance(wanted, list) and isinstance(there, list):
            for index, entry in enumerate(there):
                if mine := _clashing(entry, leaf, wanted):
                    yield f"{path}/{_escaped(to_list[-1])}/{index}", mine, there


def _clashing(entry: Any, leaf: str, wanted: list[Any]) -> Any:
    """Returns the desired entry with the same value as a live entry that is not desired."""
    if not isinstance(entry, dict) or leaf not in entry or _has_entry(wanted, entry):
        return None
    return next((each for each in wanted if isinstance(each, dict) and each.get(leaf) == entry[leaf]), None)


def _pairs(desired: Any, live: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yields (path, desired, live) for each mapping at the end of the steps that both have; lists by their keys."""
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


def _has_entry(entries: list[Any], entry: Any) -> bool:
    return any(_is_same_entry(each, entry) for each in entries)


def _is_same_entry(ours: Any, theirs: Any) -> bool:
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return False
    key = next((key for key in _KEYS if key in ours), None)
    return key is not None and ours[key] == theirs.get(key) and _protocol(ours) == _protocol(theirs)


def _protocol(entry: dict[str, Any]) -> Any:
    """Returns the protocol, which is a part of a port's key."""
    return entry.get("protocol", "TCP")


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
