"""Builds the service accounts that the spec requests for the pods.

The pods do not automatically get the tokens of the service accounts.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..objects.manifest import Manifest
from ..objects.naming import Component
from ..objects.routerdeployment import RouterDeployment
from ..schema.pods import Pods
from .defaults import Defaults
from .objects import child
from .pods import service_account_name


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Yields the service accounts that the spec requests for the model pods and for the API pods.

    If the two service accounts have the same name, yields only the service account of the API pods.
    """
    by_name = {account["metadata"]["name"]: account for account in _accounts(router)}
    yield from by_name.values()


def _accounts(router: RouterDeployment) -> Iterator[Manifest]:
    tiers: tuple[tuple[Component, Pods], ...] = (("model", router.spec.model), ("api", router.spec.api))
    for component, pods in tiers:
        has_pods = component == "api" or not router.spec.model.external
        if has_pods and pods.service_account.create:
            yield child(
                router,
                "ServiceAccount",
                component,
                name=service_account_name(router, component, pods),
                annotations=pods.service_account.annotations,
                automountServiceAccountToken=False,
            )
