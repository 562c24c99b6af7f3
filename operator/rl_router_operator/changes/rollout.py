"""Holds back a StatefulSet's roll-out, so that a newer operator restarts no model pod.

Two annotations record the last release: the hashes of `spec.model` and of the pod template at that time. If the
template changes while `spec.model` stays the same (a newer operator with another default image), the operator applies
it, but `partition` keeps it from the pods. Manual edits are repaired at once, because the desired template is then
still the released one.
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
"""Stands for a released template whose hash is unknown; it equals no hash."""


def held_back(desired: Manifest, live: Manifest | None) -> Manifest:
    """Returns the StatefulSet to apply; `live` is None if it does not exist yet."""
    current = _hash(desired["spec"]["template"])
    released = _released(desired, live) or current
    held = released != current and desired["spec"]["replicas"] > 0
    metadata, spec = desired["metadata"], desired["spec"]
    annotations = {**metadata.get("annotations", {}), RELEASED: released if held else current}
    partition = spec["replicas"] if held else 0
    strategy = {**spec["updateStrategy"], "rollingUpdate": {"partition": partition}}
    return {
        **desired,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**spec, "updateStrategy": strategy},
    }


def is_held_back(live: Manifest) -> bool:
    """Returns whether the pods stay on an earlier template."""
    update: dict[str, Any] = live["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
    return bool(update.get("partition"))


def _released(desired: Manifest, live: Manifest | None) -> str | None:
    """Returns the hash of the template that was released for this `spec.model`; None if none was released."""
    if live is None:
        return None
    annotations = live["metadata"].get("annotations") or {}
    if annotations.get(MODEL_HASH) != desired["metadata"]["annotations"][MODEL_HASH]:
        return None
    # The value of an edited annotation is not used. A template that is held back then stays held back.
    owned = owned_fields(live).get("f:metadata", {}).get("f:annotations", {})
    if f"f:{RELEASED}" in owned:
        return str(annotations[RELEASED])
    return _UNKNOWN if is_held_back(live) else None


def _hash(template: Any) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
