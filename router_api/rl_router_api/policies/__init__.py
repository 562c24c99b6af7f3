"""Who decides: `routing.policy` names a policy of this folder, or one of another package.

A policy comes with a function `create(setup) -> Policy` (see `routing/decide.py`). Other packages announce theirs by an
entry point of the group `rl_router.policies`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from ..routing.decide import Policy, PolicySetup
from . import fixed, rl

Create = Callable[[PolicySetup], Policy]

GROUP = "rl_router.policies"
_OURS: dict[str, Create] = {"fixed": fixed.create, "rl": rl.create}


def names() -> list[str]:
    """Returns the names that `routing.policy` and a request's `router.policy` may have."""
    return sorted({*_OURS, *(found.name for found in entry_points(group=GROUP))})


def exists(name: str) -> bool:
    """Returns whether there is a policy of that name."""
    return name in _OURS or _entry_point(name) is not None


def create(name: str, setup: PolicySetup) -> Policy:
    """Makes the policy of that name. Raises KeyError if there is none."""
    ours = _OURS.get(name)
    if ours is not None:
        return ours(setup)
    found = _entry_point(name)
    if found is None:
        raise KeyError(name)
    theirs: Create = found.load()
    return theirs(setup)


def _entry_point(name: str) -> EntryPoint | None:
    # Looked for only if the name is none of ours: it takes a look at every installed package.
    return next(iter(entry_points(group=GROUP, name=name)), None)
