"""Compares a desired object with the live object, by the fields that the operator owns.

For the operator, `metadata.managedFields` lists the fields that the operator applied last and that no other client has
changed since. Therefore an object needs no apply if the operator owns every desired field with the desired value, and
owns no other field. An entry of `metadata.managedFields` also contains the keys of keyed lists, so this module does
not need the schemas of the kinds. The operator does not own default values that the API server adds, so this module
does not compare default values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..schema.quantity import amount

Fields = Mapping[str, Any]
"""A set of fields in the format FieldsV1 of `metadata.managedFields`.

The keys, such as `f:name`, `k:{"name":"a"}` and `v:"text"`, map to the sets of the fields below these keys.
"""

_IDENTITY = ("apiVersion", "kind")
_IDENTITY_METADATA = ("name", "namespace", "uid", "resourceVersion")
_AMOUNTS = frozenset({"requests", "limits", "sizeLimit", "divisor"})
"""The names of the fields that contain Kubernetes quantities. The API server normalizes the notation of quantities."""


def is_applied(desired: Manifest, live: Manifest) -> bool:
    """Returns whether an apply of the manifest `desired` would change nothing in the object `live`."""
    owned = owned_fields(live)
    body = {key: value for key, value in desired.items() if key not in _IDENTITY}
    body["metadata"] = {key: value for key, value in desired["metadata"].items() if key not in _IDENTITY_METADATA}
    body = {key: value for key, value in body.items() if value not in ({}, None)}
    return _is_live(body, live, owned, amounts=False) and _is_desired(owned, body)


def owned_fields(live: Manifest) -> Fields:
    """Returns the fields of an object that the operator applied and that no other client has changed afterwards."""
    for entry in live["metadata"].get("managedFields", ()):
        if is_operator_apply(entry):
            fields: Fields = entry.get("fieldsV1") or {}
            return fields
    return {}


def is_operator_apply(entry: Mapping[str, Any]) -> bool:
    """Returns whether an entry of `managedFields` lists fields that the operator applied to the object itself."""
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")


def keys_of(owned: Fields) -> Iterator[tuple[dict[str, Any], Fields]]:
    """Yields the identifying keys and the owned fields of each entry that the operator owns in a keyed list."""
    for step, below in owned.items():
        if step.startswith("k:"):
            yield json.loads(step[2:]), below


def has_keys(entry: Any, keys: Mapping[str, Any]) -> bool:
    """Returns whether an entry of a keyed list matches the keys and values in `keys`.

    A key that is missing in the entry matches every value, because a missing key stands for the default value of the
    key.
    """
    return isinstance(entry, dict) and all(entry.get(key, value) == value for key, value in keys.items())


def _is_live(desired: Any, live: Any, owned: Fields, *, amounts: bool) -> bool:
    """Returns whether the operator owns each field of `desired` that is not None, and `live` has the field's value."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return all(_is_field_live(key, value, live, owned, amounts=amounts) for key, value in desired.items())
    if isinstance(desired, list) and isinstance(live, list):
        if any(step.startswith("k:") for step in owned):
            return all(_is_entry_live(entry, live, owned, amounts=amounts) for entry in desired)
        return _is_same(desired, live, amounts=amounts)
    return _is_same(desired, live, amounts=amounts)


def _is_field_live(key: str, value: Any, live: Mapping[str, Any], owned: Fields, *, amounts: bool) -> bool:
    below = owned.get(f"f:{key}")
    if value is None:
        return True
    if below is None or key not in live:
        return False
    amounts = amounts or key in _AMOUNTS
    # An empty set means that the operator owns the field and everything below the field.
    return _is_live(value, live[key], below, amounts=amounts) if below else _is_same(value, live[key], amounts=amounts)


def _is_entry_live(entry: Any, live: list[Any], owned: Fields, *, amounts: bool) -> bool:
    for keys, below in keys_of(owned):
        if has_keys(entry, keys):
            match = next((candidate for candidate in live if has_keys(candidate, keys)), None)
            if match is None:
                return False
            return _is_live(entry, match, below, amounts=amounts) if below else _is_same(entry, match, amounts=amounts)
    return False


def _is_same(desired: Any, live: Any, *, amounts: bool) -> bool:
    """Returns whether the value `live` equals the value `desired`, apart from fields that `desired` does not set.

    Two quantities with the same amount, such as `1` and `1000m`, are equal if `amounts` is true or a field in _AMOUNTS
    contains the quantities.
    """
    if isinstance(desired, dict) and isinstance(live, dict):
        return all(
            key in live and _is_same(value, live[key], amounts=amounts or key in _AMOUNTS)
            for key, value in desired.items()
            if value is not None
        )
    if isinstance(desired, list) and isinstance(live, list):
        return len(desired) == len(live) and all(
            _is_same(item, live_item, amounts=amounts) for item, live_item in zip(desired, live, strict=True)
        )
    return bool(desired == live) or (amounts and _is_same_amount(desired, live))


def _is_same_amount(desired: Any, live: Any) -> bool:
    try:
        return amount(desired) == amount(live)
    except ValueError:
        return False


def _is_desired(owned: Fields, desired: Any) -> bool:
    """Returns whether the value `desired` contains every field that the operator owns."""
    return all(_is_step_desired(step, below, desired) for step, below in owned.items())


def _is_step_desired(step: str, below: Fields, desired: Any) -> bool:
    kind, _, name = step.partition(":")
    if kind == "f":
        return isinstance(desired, dict) and desired.get(name) is not None and _is_desired(below, desired[name])
    if kind == "k" and isinstance(desired, list):
        keys = json.loads(name)
        match = next((entry for entry in desired if has_keys(entry, keys)), None)
        return match is not None and _is_desired(below, match)
    if kind == "v" and isinstance(desired, list):
        return json.loads(name) in desired
    return step == "."
