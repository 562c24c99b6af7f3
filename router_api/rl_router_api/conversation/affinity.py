"""The affinity of tool loops: tool call ids name the target that asked for the tools.

To clients, each tool call id carries the suffix `_rr` and six hex digits of the target's name. A conversation in the
middle of a tool loop so finds its target again, on any replica, without a store.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

_SUFFIX = re.compile(r"_rr([0-9a-f]{6})$")


@lru_cache(maxsize=1024)
def affinity_of(target_name: str) -> str:
    """Returns six hex digits that name a target."""
    return hashlib.sha256(target_name.encode()).hexdigest()[:6]


def affinity_in(tool_call_id: str | None) -> str | None:
    """Returns the affinity that a tool call id carries, or None."""
    found = _SUFFIX.search(tool_call_id or "")
    return found[1] if found else None


def with_affinity(tool_call_id: str, target_name: str) -> str:
    """Returns the id as the client sees it."""
    return f"{tool_call_id}_rr{affinity_of(target_name)}"


def without_affinity(tool_call_id: str) -> str:
    """Returns the id as the target gave it."""
    return _SUFFIX.sub("", tool_call_id)
