"""Holding back a StatefulSet's roll-out: a newer operator restarts no model pod. Pure.

Two annotations say what was let go last: the hash of `spec.model`, and that of the template as it was wanted then.
While `spec.model` is the same, a template that is wanted differently (a newer operator's, with another default image)
is applied, but `partition` keeps it from the pods. Edits by others are repaired at once, since the wanted template is
then the one that was let go.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

from ..objects.manifest import Manifest
from ..resources.stateful_set import MODEL_HASH
from ..schema import GROUP
from .drift import owned_fields

RELEASED = f"{GROUP}/released-template"
_UNKNOWN = "unknown"
"""No template's hash."""


def held_back(desired: Manifest, live: Manifest | None) -> Manifest:
    """The StatefulSet to apply where `desired` is wanted and `live` is there."""
    wanted = _hash(desired["spec"]["template"])
    released = _released(desired, live) or wanted
    held = released != wanted and desired["spec"]["replicas"] > 0
    result = copy.deepcopy(desired)
    result["metadata"].setdefault("annotations", {})[RELEASED] = released if held else wanted
    result["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = desired["spec"]["replicas"] if held else 0
    return result


def is_held_back(live: Manifest) -> bool:
    """Whether the pods are kept from the template."""
    update: dict[str, Any] = live["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
    return bool(update.get("partition"))


def _released(desired: Manifest, live: Manifest | None) -> str | None:
    """The hash of the template that was let go for this `spec.model`; None where none was, or nobody can say."""
    if live is None:
        return None
    said = live["metadata"].get("annotations") or {}
    if said.get(MODEL_HASH) != desired["metadata"]["annotations"][MODEL_HASH]:
        return None
    # What somebody else wrote there says nothing; what is held back then stays so.
    ours = owned_fields(live).get("f:metadata", {}).get("f:annotations", {})
    if f"f:{RELEASED}" in ours:
        return str(said[RELEASED])
    return _UNKNOWN if is_held_back(live) else None


def _hash(template: Any) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
