"""The affinity of tool loops: the next request of a tool loop goes to the target that made the tool calls.

The affinity applies only while this target is a candidate. Non-empty tool call ids that the router sends to clients end
in `_rr` and six hex digits from the hash of the target's name. Every replica of the router API can identify the target
by these digits, so no replica needs to remember the target.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

_SUFFIX = re.compile(r"_rr([0-9a-f]{6})$")


@lru_cache(maxsize=1024)
def affinity_of(target_name: str) -> str:
    """Returns the six hex digits that identify a target in a tool call id."""
    return hashlib.sha256(target_name.encode()).hexdigest()[:6]


def affinity_in(tool_call_id: str | None) -> str | None:
    """Returns the affinity (six hex digits) at the end of a tool call id, or None if the id has no affinity."""
    match = _SUFFIX.search(tool_call_id or "")
    return match[1] if match else None


def with_affinity(tool_call_id: str, target_name: str) -> str:
    """Returns the tool call id for the client, which ends in the affinity of the target."""
    return f"{tool_call_id}_rr{affinity_of(target_name)}"


def without_affinity(tool_call_id: str) -> str:
    """Returns the tool call id as the target wrote it, without the affinity."""
    return _SUFFIX.sub("", tool_call_id)
