"""Computes the desired size and owner of the PersistentVolumeClaims (PVCs) of the model pods."""

from __future__ import annotations

from typing import Any

from ..objects import pvc
from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from ..schema import Storage
from ..schema.quantity import amount
from .drift import owned_fields


def desired(router: RouterDeployment, live: Manifest) -> Manifest:
    """Returns the manifest to apply to a PVC.

    The manifest contains an owner only if the RouterDeployment must own the PVC, and a size only if the operator
    changes or has changed the size that the StatefulSet set. If the spec no longer has storage, the owner stays as it
    is.
    """
    storage = router.spec.model.storage
    metadata: dict[str, Any] = {key: live["metadata"][key] for key in ("name", "namespace")}
    manifest: Manifest = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}
    if not storage.retain if storage else _is_owned(router, live):
        # The garbage collector deletes the PVC with the RouterDeployment, but not with the StatefulSet.
        metadata["ownerReferences"] = [{**router.owner_reference, "controller": False}]
    if storage and _is_new_size(storage, live):
        manifest["spec"] = _requests(str(storage.size))
    elif "f:spec" in owned_fields(live):
        # Without a size in the apply, the API server removes a size that only the operator owns, and rejects the PVC.
        manifest["spec"] = _requests(pvc.requested_size(live))
    return manifest


def _is_owned(router: RouterDeployment, live: Manifest) -> bool:
    return any(owner["uid"] == router.uid for owner in live["metadata"].get("ownerReferences", ()))


def _is_new_size(storage: Storage, live: Manifest) -> bool:
    """Returns whether a PVC can change to the size in the spec and does not yet request this size.

    A requested size that the volume has not yet reached can be lowered again, but not to the volume's capacity or less.
    """
    size = amount(storage.size)
    return amount(pvc.fixed_size(live)) < size != amount(pvc.requested_size(live))


def _requests(size: str) -> dict[str, Any]:
    return {"resources": {"requests": {"storage": size}}}
