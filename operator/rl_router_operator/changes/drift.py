"""Compares a desired object with the live one, by the fields that the operator owns.

For each manager, `metadata.managedFields` names the fields that it applied last and that nobody has changed since. So
an object needs no apply if the operator owns every desired field with the desired value and owns no other field. The
same entry tells which lists are keyed and by what, so no schema is needed here. Defaults that the API server added are
not owned by the operator and are not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.quantity import amount

Fields = Mapping[str, Any]
"""A set of fields as in managedFields (FieldsV1): `f:name`, `k:{"name":"a"}` and `v:"text"` lead to further sets."""

_IDENTITY = ("apiVersion", "kind")
_IDENTITY_METADATA = ("name", "namespace", "uid", "resourceVersion")
_AMOUNTS = frozenset({"requests", "limits", "sizeLimit", "divisor"})
"""Values below these fields are quantities, which the API server writes in its own form."""


def is_applied(desired: Manifest, live: Manifest) -> bool:
    """Returns whether applying `desired` would change nothing in `live`."""
    owned = owned_fields(live)
    body = {key: value for key, value in desired.items() if key not in _IDENTITY}
    body["metadata"] = {key: value for key, value in desired["metadata"].items() if key not in _IDENTITY_METADATA}
    body = {key: value for key, value in body.items() if value not in ({}, None)}
    return _is_there(body, live, owned, amounts=False) and _is_wanted(owned, body)


def owned_fields(live: Manifest) -> Fields:
    """Returns the fields that the operator applied and that nobody has changed since."""
    for entry in live["metadata"].get("managedFields", ()):
        if is_ours(entry):
            fields: Fields = entry.get("fieldsV1") or {}
            return fields
    return {}


def is_ours(entry: Mapping[str, Any]) -> bool:
    """Returns whether an entry of managedFields is that of the operator's applies."""
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")


def keys_of(owned: Fields) -> Iterator[tuple[dict[str, Any], Fields]]:
    """Yields the keys of each entry of a keyed list that the operator owns, and the fields below it."""
    for step, below in owned.items():
        if step.startswith("k:"):
            yield json.loads(step[2:]), below


def has_keys(entry: Any, keys: Mapping[str, Any]) -> bool:
    """Returns whether an entry of a list has these keys; a key that is left out has its default."""
    return isinstance(entry, dict) and all(entry.get(key, value) == value for key, value in keys.items())


def _is_there(desired: Any, live: Any, owned: Fields, *, amounts: bool) -> bool:
    """Returns whether everything in `desired` is in `live` and owned by the operator."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return all(_is_field_there(key, value, live, owned, amounts=amounts) for key, value in desired.items())
    if isinstance(desired, list) and isinstance(live, list):
        if any(step.startswith("k:") for step in owned):
            return all(_is_entry_there(entry, live, owned, amounts=amounts) for entry in desired)
        return _is_same(desired, live, amounts=amounts)
    return _is_same(desired, live, amounts=amounts)


def _is_field_there(key: str, value: Any, live: Mapping[str, Any], owned: Fields, *, amounts: bool) -> bool:
    below = owned.get(f"f:{key}")
    if value is None:
        return True
    if below is None or key not in live:
        return False
    amounts = amounts or key in _AMOUNTS
    # A field that is owned as a whole is owned to its last leaf.
    return _is_there(value, live[key], below, amounts=amounts) if below else _is_same(value, live[key], amounts=amounts)


def _is_entry_there(entry: Any, live: list[Any], owned: Fields, *, amounts: bool) -> bool:
    for keys, below in keys_of(owned):
        if has_keys(entry, keys):
            found = next((each for each in live if has_keys(each, keys)), None)
            if found is None:
                return False
            return _is_there(entry, found, below, amounts=amounts) if below else _is_same(entry, found, amounts=amounts)
    return False


def _is_same(desired: Any, live: Any, *, amounts: bool) -> bool:
    """Returns whether both are equal, apart from what the API server adds to a value or writes in another form."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return all(
            key in live and _is_same(value, live[key], amounts=amounts or key in _AMOUNTS)
            for key, value in desired.items()
            if value is not None
        )
    if isinstance(desired, list) and isinstance(live, list):
        return len(desired) == len(live) and all(
            _is_same(one, other, amounts=amounts) for one, other in zip(desired, live, strict=True)
        )
    return bool(desired == live) or (amounts and _is_same_amount(desired, live))


def _is_same_amount(desired: Any, live: Any) -> bool:
    try:
        return amount(desired) == amount(live)
    except ValueError:
        return False


def _is_wanted(owned: Fields, desired: Any) -> bool:
    """Returns whether every owned field is in `desired`."""
    return all(_is_step_wanted(step, below, desired) for step, below in owned.items())


def _is_step_wanted(step: str, below: Fields, desired: Any) -> bool:
    kind, _, name = step.partition(":")
    if kind == "f":
        return isinstance(desired, dict) and desired.get(name) is not None and _is_wanted(below, desired[name])
    if kind == "k" and isinstance(desired, list):
        keys = json.loads(name)
        found = next((entry for entry in desired if has_keys(entry, keys)), None)
        return found is not None and _is_wanted(below, found)
    if kind == "v" and isinstance(desired, list):
        return json.loads(name) in desired
    return step == "."
