"""Builds the conditions of a status, whose messages contain the cause and its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..schema import Condition
from ..schema.state import Ready
from .reasons import Reason

_MAXIMUM_MESSAGE = 4096
"""The maximum length of a condition's message in the schema, in characters."""


@dataclass(frozen=True)
class Finding:
    """A condition without its transition time."""

    type: str
    status: Ready
    reason: Reason
    message: str


def make_finding(type_: str, status: Ready, reason: Reason, cause: str) -> Finding:
    """Returns a finding whose message consists of the `cause` and the remedy of the reason."""
    return Finding(type_, status, reason, advice(reason, cause))


def advice(reason: Reason, cause: str) -> str:
    """Returns the cause and the remedy of the reason as sentences. `cause` has no full stop at its end."""
    return " ".join(f"{_capitalize(text)}." for text in (cause, reason.remedy) if text)


def merge(findings: Iterable[Finding], before: Mapping[str, Any], generation: int, now: datetime) -> list[Condition]:
    """Returns the findings as conditions. A condition whose status did not change keeps its transition time."""
    old = {condition["type"]: condition for condition in before.get("conditions", ())}
    return [_condition(finding, old.get(finding.type), generation, now) for finding in findings]


def previous_finding(before: Mapping[str, Any], type_: str, reasons: frozenset[Reason]) -> Finding | None:
    """Returns the condition of a type in the previous status, or None if its reason is not among `reasons`."""
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
    """Returns the sentence with a capital first letter, unless its first word is a name such as `spec.model`."""
    return sentence[:1].upper() + sentence[1:] if sentence.partition(" ")[0].isalpha() else sentence


def _cut(message: str) -> str:
    return message if len(message) <= _MAXIMUM_MESSAGE else message[: _MAXIMUM_MESSAGE - 1] + "…"
