"""Finds a policy by name. The folder `policies` contains the built-in policies, and other packages can add policies.

Each policy has a function that receives a `PolicySetup` and returns a `Policy` (see `routing/decide.py`). A package
that adds a policy registers this function as an entry point in the group `rl_router.policies`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from ..routing.decide import Policy, PolicySetup
from . import fixed, rl

Create = Callable[[PolicySetup], Policy]

GROUP = "rl_router.policies"
_BUILT_IN: dict[str, Create] = {"fixed": fixed.create, "rl": rl.create}


def names() -> list[str]:
    """Returns the policy names that the field `routing.policy` of the configuration and the field `router.policy` of a
    request may contain."""
    return sorted({*_BUILT_IN, *(entry_point.name for entry_point in entry_points(group=GROUP))})


def exists(name: str) -> bool:
    """Returns whether a policy with the name `name` is built in or belongs to another installed package."""
    return name in _BUILT_IN or _entry_point(name) is not None


def create(name: str, setup: PolicySetup) -> Policy:
    """Returns a new policy with the name `name`. Raises KeyError if no policy has this name."""
    built_in = _BUILT_IN.get(name)
    if built_in is not None:
        return built_in(setup)
    entry_point = _entry_point(name)
    if entry_point is None:
        raise KeyError(name)
    installed: Create = entry_point.load()
    return installed(setup)


def _entry_point(name: str) -> EntryPoint | None:
    # The search for entry points visits every installed package, so it runs only for names that are not built in.
    return next(iter(entry_points(group=GROUP, name=name)), None)
