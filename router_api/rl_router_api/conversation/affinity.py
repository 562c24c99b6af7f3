"""The affinity of tool loops: tool call ids contain a hash of the target that made the tool calls.

Tool call ids that are sent to clients end in `_rr` and six hex digits from the hash of the target's name. The next
request of a tool loop therefore reaches the same target, on any replica, without stored state.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

_SUFFIX = re.compile(r"_rr([0-9a-f]{6})$")


@lru_cache(maxsize=1024)
def affinity_of(target_name: str) -> str:
    """Returns six hex digits that identify a target."""
    return hashlib.sha256(target_name.encode()).hexdigest()[:6]


def affinity_in(tool_call_id: str | None) -> str | None:
    """Returns the affinity in a tool call id, or None."""
    match = _SUFFIX.search(tool_call_id or "")
    return match[1] if match else None


def with_affinity(tool_call_id: str, target_name: str) -> str:
    """Returns the id for the client, with the affinity of the target."""
    return f"{tool_call_id}_rr{affinity_of(target_name)}"


def without_affinity(tool_call_id: str) -> str:
    """Returns the target's own id."""
    return _SUFFIX.sub("", tool_call_id)
