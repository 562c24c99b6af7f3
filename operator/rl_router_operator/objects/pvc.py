"""The PersistentVolumeClaim (PVC) of a model pod: its name and its sizes."""

from __future__ import annotations

from ..schema.quantity import amount
from . import naming
from .manifest import Manifest

CLAIM = "weights"
"""The name of the claim template, with which the names of the PVCs begin."""


def is_of_model(router: str, pvc: Manifest) -> bool:
    """Returns whether the PVC has the name of a PVC that the StatefulSet creates.

    Labels are no evidence, because a manual copy of a PVC has the same labels.
    """
    prefix = f"{CLAIM}-{naming.child(router, 'model')}-"
    name = str(pvc["metadata"]["name"])
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def requested_size(pvc: Manifest) -> str:
    """Returns the size that the PVC requests, as a quantity."""
    return str(pvc["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))


def fixed_size(pvc: Manifest) -> str:
    """Returns the size below which the PVC cannot go, as a quantity.

    It is the requested size. It is the capacity of the volume if the volume has not yet grown to the requested size.
    """
    requested = requested_size(pvc)
    capacity = str(pvc.get("status", {}).get("capacity", {}).get("storage", requested))
    return min(requested, capacity, key=amount)
