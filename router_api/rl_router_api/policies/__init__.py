"""The policies, a file each; `routing.policy` names the file. Each has `create(fleet) -> Policy`."""

from __future__ import annotations

import importlib
import pkgutil

from ..routing.decide import Policy
from ..upstreams.fleet import Fleet


def names() -> list[str]:
    """The names that `routing.policy` and a request's `router.policy` may have."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def create(name: str, fleet: Fleet) -> Policy:
    """The policy of that name. Raises KeyError where there is none."""
    if name not in names():
        raise KeyError(name)
    policy: Policy = importlib.import_module(f".{name}", __name__).create(fleet)
    return policy
