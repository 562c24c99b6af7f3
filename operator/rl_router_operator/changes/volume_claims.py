"""What is desired of the PersistentVolumeClaims of the model's pods: an owner unless retained, and the size."""

from __future__ import annotations

from typing import Any

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.quantity import amount
from ..objects.router import Router
from ..resources.stateful_set import CLAIM
from .drift import owned_fields


def is_from_stateful_set(router: Router, live: Manifest) -> bool:
    """Returns whether the StatefulSet created the claim; a copy that a person made has the same labels."""
    prefix = f"{CLAIM}-{naming.child(router.name, 'model')}-"
    name = str(live["metadata"]["name"])
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def desired(router: Router, live: Manifest) -> Manifest:
    """Returns what to apply to a claim: only what differs from how the StatefulSet creates it."""
    storage = router.spec.model.storage
    metadata: dict[str, Any] = {key: live["metadata"][key] for key in ("name", "namespace")}
    found: Manifest = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}
    if storage and not storage.retain:
        # The claim is deleted with the RouterDeployment, but not with the StatefulSet.
        metadata["ownerReferences"] = [{**router.owner_reference, "controller": False}]
    if storage and amount(storage.size) > amount(_size(live)):
        found["spec"] = _requests(str(storage.size))
    elif "f:spec" in owned_fields(live):
        # The API server refuses a claim without a size, and would remove the one that only the operator owns.
        found["spec"] = _requests(_size(live))
    return found


def _requests(size: str) -> dict[str, Any]:
    return {"resources": {"requests": {"storage": size}}}


def _size(live: Manifest) -> str:
    return str(live["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))
