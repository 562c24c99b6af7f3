"""Conditions: findings with their advice, merged into the conditions of the previous status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..schema import Condition
from ..schema.state import Ready
from .reasons import Reason

_LONGEST = 4096
"""Characters that the schema allows in a message."""


@dataclass(frozen=True)
class Finding:
    """A condition without its time."""

    type: str
    status: Ready
    reason: Reason
    message: str


def found(type_: str, status: Ready, reason: Reason, cause: str) -> Finding:
    """A finding whose message says what is so, `cause`, and what to do about it."""
    return Finding(type_, status, reason, advice(reason, cause))


def advice(reason: Reason, cause: str) -> str:
    """Two sentences: the cause, which has no full stop, and the reason's remedy."""
    return " ".join(f"{_capital(each)}." for each in (cause, reason.remedy) if each)


def merged(findings: Iterable[Finding], before: Mapping[str, Any], generation: int, now: datetime) -> list[Condition]:
    """The conditions; the time of the last change is kept where the status is as it was."""
    old = {each["type"]: each for each in before.get("conditions", ())}
    return [_condition(finding, old.get(finding.type), generation, now) for finding in findings]


def said_before(before: Mapping[str, Any], type_: str, reasons: frozenset[Reason]) -> Finding | None:
    """What the status said of a condition, if it was for one of the reasons."""
    for each in before.get("conditions", ()):
        if each["type"] == type_ and each["reason"] in reasons:
            return Finding(type_, each["status"], Reason(each["reason"]), each["message"])
    return None


def _condition(finding: Finding, old: Mapping[str, Any] | None, generation: int, now: datetime) -> Condition:
    unchanged = old is not None and old["status"] == finding.status
    return Condition(
        type=finding.type,
        status=finding.status,
        reason=finding.reason.value,
        message=_cut(finding.message),
        observed_generation=generation,
        last_transition_time=old["lastTransitionTime"] if old and unchanged else f"{now:%Y-%m-%dT%H:%M:%SZ}",
    )


def _capital(sentence: str) -> str:
    """A field's name stays as it is written."""
    return sentence[:1].upper() + sentence[1:] if sentence.partition(" ")[0].isalpha() else sentence


def _cut(message: str) -> str:
    return message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
