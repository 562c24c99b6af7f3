"""The service accounts of the pods, where one is to be made; their tokens are never mounted."""

from __future__ import annotations

from collections.abc import Iterator

from ..manifest import Manifest
from ..naming import Component
from ..router import Router
from ..schema.pods import Pods
from ..settings import Defaults
from .objects import child
from .pods import service_account_name


def build(router: Router, _defaults: Defaults) -> Iterator[Manifest]:
    """One for each tier that asks for it."""
    tiers: list[tuple[Component, Pods]] = [("api", router.spec.api)]
    if not router.spec.model.external:
        tiers.insert(0, ("model", router.spec.model))
    for component, pods in tiers:
        if pods.service_account.create:
            yield child(
                router,
                "ServiceAccount",
                component,
                name=service_account_name(router, component, pods),
                annotations=pods.service_account.annotations,
                automountServiceAccountToken=False,
            )
