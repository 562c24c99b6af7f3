"""Finds a policy by name. The folder `policies` contains the built-in policies, and other packages can add policies.

Each policy has a function that receives a `PolicySetup` and returns a `Policy` (see `routing/decide.py`). A package
that adds a policy registers this function as an entry point in the group `rl_router.policies`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from rl_router_policy.threads import use_one_thread

from ..routing.decide import Policy, PolicySetup
from . import fixed, rl

Create = Callable[[PolicySetup], Policy]

GROUP = "rl_router.policies"
_LIBRARIES = ("numpy", "safetensors")
"""The packages that the policy `learned` needs. They belong to the extra `policy`."""


def _create_learned(setup: PolicySetup) -> Policy:
    use_one_thread()
    # The libraries of the policy `learned` use 30 MB, so only a process that uses the policy imports them.
    from . import learned

    return learned.create(setup)


_BUILT_IN: dict[str, Create] = {"fixed": fixed.create, "learned": _create_learned, "rl": rl.create}


def names() -> list[str]:
    """Returns the policy names that the field `routing.policy` of the configuration and the field `router.policy` of a
    request may contain."""
    return sorted({*_BUILT_IN, *(entry_point.name for entry_point in entry_points(group=GROUP))})


def problem(name: str) -> str | None:
    """Returns why no policy with the name `name` can be created, with a remedy. Returns None if no reason is known."""
    if name == "learned":
        missing = [library for library in _LIBRARIES if find_spec(library) is None]
        remedy = "Install RL Router with the extra `policy`, or use another policy"
        return f"the policy `learned` needs the Python package {missing[0]}. {remedy}" if missing else None
    if name in _BUILT_IN or _entry_point(name) is not None:
        return None
    return f"unknown policy `{name}`. Use one of: {', '.join(names())}"


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
