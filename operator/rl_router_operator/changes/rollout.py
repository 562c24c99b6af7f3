"""Computes the StatefulSet to apply, with a delayed rollout if only the pod template changes, not `spec.model`.

Two annotations of the StatefulSet contain the hashes of `spec.model` and of the pod template at the last rollout. The
pod template may change while `spec.model` stays the same, for example if a newer operator has another default image. If
only the pod template has changed, the operator applies the new template, but sets the field `partition` so that the
pods keep the earlier template until `spec.model` changes or the StatefulSet has no replicas. The operator repairs a
manual edit of the StatefulSet immediately, because the edit does not change the desired pod template.
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
"""The value for an unknown hash of the released pod template. This value differs from every hash."""


def held_back(desired: Manifest, live: Manifest | None) -> Manifest:
    """Returns the StatefulSet to apply. The argument `live` is None if the StatefulSet does not exist yet."""
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
    """Returns whether a delayed rollout keeps the pods of a StatefulSet on an earlier pod template."""
    update: dict[str, Any] = live["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
    return bool(update.get("partition"))


def _released(desired: Manifest, live: Manifest | None) -> str | None:
    """Returns the hash of the pod template that was last rolled out, or _UNKNOWN if a rollout is delayed and the hash
    is lost. The result is None if the desired pod template may be rolled out immediately."""
    if live is None:
        return None
    annotations = live["metadata"].get("annotations") or {}
    if annotations.get(MODEL_HASH) != desired["metadata"]["annotations"][MODEL_HASH]:
        return None
    # If another client has changed the annotation, the operator ignores the value, and a delayed rollout stays delayed.
    owned = owned_fields(live).get("f:metadata", {}).get("f:annotations", {})
    if f"f:{RELEASED}" in owned:
        return str(annotations[RELEASED])
    return _UNKNOWN if is_held_back(live) else None


def _hash(template: Any) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
