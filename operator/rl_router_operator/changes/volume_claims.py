"""What is wanted of the claims of the model's pods: an owner where storage is not retained, and room to grow. Pure."""

from __future__ import annotations

from typing import Any

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.quantity import amount
from ..objects.router import Router
from ..resources.stateful_set import CLAIM


def is_made(router: Router, live: Manifest) -> bool:
    """Whether a claim is one that the StatefulSet makes: a copy that somebody made of one has its labels too."""
    prefix = f"{CLAIM}-{naming.child(router.name, 'model')}-"
    name = str(live["metadata"]["name"])
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def wanted(router: Router, live: Manifest) -> Manifest:
    """What to apply to a claim: nothing but what differs from how the StatefulSet made it."""
    storage = router.spec.model.storage
    metadata: dict[str, Any] = {key: live["metadata"][key] for key in ("name", "namespace")}
    found: Manifest = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}
    if storage and not storage.retain:
        # The collector then removes it with the RouterDeployment; the StatefulSet's end costs no weights.
        metadata["ownerReferences"] = [{**router.owner_reference, "controller": False}]
    if storage and amount(storage.size) > amount(_size(live)):
        found["spec"] = {"resources": {"requests": {"storage": str(storage.size)}}}
    return found


def _size(live: Manifest) -> str:
    return str(live["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))
