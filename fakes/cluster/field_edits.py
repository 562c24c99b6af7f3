"""Edits the fields that the operator owns in a child, one by one, and waits until the operator repairs each field."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from rl_router_operator.changes.drift import keys_of, owned_fields

from .kube_client import Kube
from .waiting import eventually

REPAIR_SECONDS = 5
"""The number of seconds within which the operator must repair an edit."""
_Path = tuple[Any, ...]


async def each_edit_is_repaired(kube: Kube, ref: tuple[str, str], before: dict[str, Any]) -> None:
    """Edits the fields that the operator owns in the child `ref`, one by one, except most keys of list entries.

    Fails if the operator does not restore a field within `REPAIR_SECONDS` seconds.
    """
    paths = list(_leaves(owned_fields(before), before, ()))
    assert paths, ref
    for path in paths:
        edited = copy.deepcopy(await kube.existing(*ref))
        if not _edit(edited, path):
            continue
        response = await kube.client.put(kube.path(*ref), params={"fieldManager": "somebody"}, json=edited)
        if response.is_client_error:
            continue  # The API server rejects this edit from every client.
        await eventually(lambda path=path: _is_restored(kube, ref, before, path), within=REPAIR_SECONDS)


async def _is_restored(kube: Kube, ref: tuple[str, str], before: dict[str, Any], path: _Path) -> None:
    live = await kube.get(*ref)
    assert _value(live, path) == _value(before, path), (ref, path)


def _leaves(owned: Any, live: Any, path: _Path) -> Iterator[_Path]:
    """Yields the paths of the values that the operator owns.

    If a list identifies its entries by keys, the path contains the index of the entry instead of the keys.
    """
    for step, below in owned.items():
        if step.startswith("f:") and step[2:] in live:
            name = step[2:]
            if below and isinstance(live[name], dict | list):
                yield from _leaves(below, live[name], (*path, name))
            else:
                yield (*path, name)
    for keys, below in keys_of(owned):
        for index, entry in enumerate(live if isinstance(live, list) else ()):
            if all(entry.get(key) == value for key, value in keys.items()):
                if below:
                    yield from _leaves(below, entry, (*path, index))
                else:
                    yield (*path, index)


def _value(body: Any, path: _Path) -> Any:
    for step in path:
        body = body[step]
    return body


def _edit(body: Any, path: _Path) -> bool:
    """Changes or removes the field at the path `path`, and returns True.

    If the field is the `name`, `mountPath` or `topologyKey` of a list entry, changes nothing and returns False. Such a
    field is usually the entry's key, and an entry with another key would be a new entry.
    """
    parent = _value(body, path[:-1])
    value = parent[path[-1]]
    match value:
        case bool():
            parent[path[-1]] = not value
        case int():
            parent[path[-1]] = value + 1
        case str() if path[-1] in ("name", "mountPath", "topologyKey") and isinstance(path[-2], int):
            return False
        case str():
            parent[path[-1]] = f"{value}0" if value[:1].isdigit() else f"{value}x"
        case dict() | list():
            del parent[path[-1]]
    return True
