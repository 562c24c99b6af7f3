"""Holds back a StatefulSet's roll-out, so that a newer operator restarts no model pod.

Two annotations say what was released last: the hashes of `spec.model` and of the template that was desired then.
While `spec.model` stays the same, another desired template (that of a newer operator with another default image) is
applied, but `partition` keeps it from the pods. Manual edits are repaired at once, because the desired template is the
released one then.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..objects.manifest import Manifest
from ..resources.stateful_set import MODEL_HASH
from ..schema import GROUP
from .drift import owned_fields

RELEASED = f"{GROUP}/released-template"
_UNKNOWN = "unknown"
"""The hash of no template."""


def held_back(desired: Manifest, live: Manifest | None) -> Manifest:
    """Returns the StatefulSet to apply, given the desired one and the live one, if there is one."""
    wanted = _hash(desired["spec"]["template"])
    released = _released(desired, live) or wanted
    held = released != wanted and desired["spec"]["replicas"] > 0
    metadata, spec = desired["metadata"], desired["spec"]
    annotations = {**metadata.get("annotations", {}), RELEASED: released if held else wanted}
    partition = spec["replicas"] if held else 0
    strategy = {**spec["updateStrategy"], "rollingUpdate": {"partition": partition}}
    return {
        **desired,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**spec, "updateStrategy": strategy},
    }


def is_held_back(live: Manifest) -> bool:
    """Returns whether the pods are kept on an earlier template."""
    update: dict[str, Any] = live["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
    return bool(update.get("partition"))


def _released(desired: Manifest, live: Manifest | None) -> str | None:
    """Returns the hash of the template that was released for this `spec.model`; None if there is none."""
    if live is None:
        return None
    said = live["metadata"].get("annotations") or {}
    if said.get(MODEL_HASH) != desired["metadata"]["annotations"][MODEL_HASH]:
        return None
    # An annotation that was edited says nothing; a template that is held back then stays held back.
    ours = owned_fields(live).get("f:metadata", {}).get("f:annotations", {})
    if f"f:{RELEASED}" in ours:
        return str(said[RELEASED])
    return _UNKNOWN if is_held_back(live) else None


def _hash(template: Any) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
