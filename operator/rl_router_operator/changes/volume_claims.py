"""Computes the desired size and owner of the PersistentVolumeClaims (PVCs) of the model pods."""

from __future__ import annotations

from typing import Any

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.quantity import amount
from ..objects.routerdeployment import RouterDeployment
from ..resources.stateful_set import CLAIM
from .drift import owned_fields


def is_from_stateful_set(router: RouterDeployment, live: Manifest) -> bool:
    """Returns whether the PVC has the name of a PVC that the StatefulSet creates.

    Labels are no evidence, because a manual copy of a PVC has the same labels.
    """
    prefix = f"{CLAIM}-{naming.child(router.name, 'model')}-"
    name = str(live["metadata"]["name"])
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def desired(router: RouterDeployment, live: Manifest) -> Manifest:
    """Returns the fields to apply to a PVC: only those that differ from the fields that the StatefulSet has set."""
    storage = router.spec.model.storage
    metadata: dict[str, Any] = {key: live["metadata"][key] for key in ("name", "namespace")}
    manifest: Manifest = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}
    if storage and not storage.retain:
        # The garbage collector deletes the PVC with the RouterDeployment, but not with the StatefulSet.
        metadata["ownerReferences"] = [{**router.owner_reference, "controller": False}]
    if storage and amount(storage.size) > amount(_size(live)):
        manifest["spec"] = _requests(str(storage.size))
    elif "f:spec" in owned_fields(live):
        # Without a size in the apply, the API server removes a size that only the operator owns, and rejects the PVC.
        manifest["spec"] = _requests(_size(live))
    return manifest


def _requests(size: str) -> dict[str, Any]:
    return {"resources": {"requests": {"storage": size}}}


def _size(live: Manifest) -> str:
    return str(live["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))
