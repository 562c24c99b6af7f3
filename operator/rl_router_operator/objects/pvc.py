"""Reads the name, the sizes and other fields of the PersistentVolumeClaim (PVC) of a model pod."""

from __future__ import annotations

from ..schema.quantity import amount
from . import naming
from .manifest import Manifest

CLAIM = "weights"
"""The name of the PVC template in the StatefulSet of the model pods.

The name of each PVC that the StatefulSet creates begins with the name of the PVC template.
"""


def is_of_model(router: str, pvc: Manifest) -> bool:
    """Returns whether the name of a PVC matches the names that the StatefulSet of the model pods gives to PVCs.

    The function ignores the labels of the PVC, because a user's manual copy of a PVC can have the same labels.
    """
    prefix = f"{CLAIM}-{naming.child(router, 'model')}-"
    name = str(pvc["metadata"]["name"])
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def requested_size(pvc: Manifest) -> str:
    """Returns the size that a PVC requests, as a Kubernetes quantity such as `20Gi`."""
    return str(pvc["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))


def fixed_size(pvc: Manifest) -> str:
    """Returns the size below which a PVC cannot shrink, as a Kubernetes quantity such as `20Gi`.

    The result is the size that the PVC requests, or the capacity of the volume if the capacity is smaller than the
    requested size.
    """
    requested = requested_size(pvc)
    capacity = str(pvc.get("status", {}).get("capacity", {}).get("storage", requested))
    return min(requested, capacity, key=amount)


def class_of(pvc: Manifest) -> str | None:
    """Returns the name of the StorageClass of a PVC, or None if the PVC has no StorageClass."""
    return pvc["spec"].get("storageClassName") or None


def access_modes_of(pvc: Manifest) -> set[str]:
    """Returns the access modes that a PVC requests."""
    return set(pvc["spec"].get("accessModes") or ())
