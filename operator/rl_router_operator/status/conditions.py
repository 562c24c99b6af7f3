"""Builds findings with their advice, and merges them into the conditions of the previous status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..schema import Condition
from ..schema.state import Ready
from .reasons import Reason

_MAXIMUM_MESSAGE = 4096
"""Characters that the schema allows in a message."""


@dataclass(frozen=True)
class Finding:
    """A condition without its transition time."""

    type: str
    status: Ready
    reason: Reason
    message: str


def make_finding(type_: str, status: Ready, reason: Reason, cause: str) -> Finding:
    """Returns a finding whose message is the `cause` and the remedy of the reason."""
    return Finding(type_, status, reason, advice(reason, cause))


def advice(reason: Reason, cause: str) -> str:
    """Returns the cause and the remedy of the reason as sentences. `cause` has no full stop at its end."""
    return " ".join(f"{_capitalize(text)}." for text in (cause, reason.remedy) if text)


def merge(findings: Iterable[Finding], before: Mapping[str, Any], generation: int, now: datetime) -> list[Condition]:
    """Returns the conditions. A condition whose status did not change keeps its transition time."""
    old = {condition["type"]: condition for condition in before.get("conditions", ())}
    return [_condition(finding, old.get(finding.type), generation, now) for finding in findings]


def previous_finding(before: Mapping[str, Any], type_: str, reasons: frozenset[Reason]) -> Finding | None:
    """Returns the condition of a type in the previous status; None if it has none of the reasons."""
    for condition in before.get("conditions", ()):
        if condition["type"] == type_ and condition["reason"] in reasons:
            return Finding(type_, condition["status"], Reason(condition["reason"]), condition["message"])
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


def _capitalize(sentence: str) -> str:
    """Returns the sentence with a capital letter, unless it begins with a field name."""
    return sentence[:1].upper() + sentence[1:] if sentence.partition(" ")[0].isalpha() else sentence


def _cut(message: str) -> str:
    return message if len(message) <= _MAXIMUM_MESSAGE else message[: _MAXIMUM_MESSAGE - 1] + "…"
