"""Builds the conditions of a RouterDeployment. Each message contains the cause and the reason's remedy, if any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..schema import Condition
from ..schema.state import Ready
from .reasons import Reason

_MAXIMUM_MESSAGE = 4096
"""The maximum number of characters that the CRD allows in the message of a condition."""


@dataclass(frozen=True)
class Finding:
    """The type, the status, the reason and the message of a condition, without its generation and transition time."""

    type: str
    status: Ready
    reason: Reason
    message: str


def make_finding(type_: str, status: Ready, reason: Reason, cause: str) -> Finding:
    """Returns a Finding whose message consists of the text `cause` and of the reason's remedy, if one exists."""
    return Finding(type_, status, reason, advice(reason, cause))


def advice(reason: Reason, cause: str) -> str:
    """Returns the text `cause` and the remedy of the reason, if the reason has a remedy, as sentences.

    The text `cause` must have no full stop at the end.
    """
    return " ".join(f"{_capitalize(text)}." for text in (cause, reason.remedy) if text)


def merge(findings: Iterable[Finding], before: Mapping[str, Any], generation: int, now: datetime) -> list[Condition]:
    """Returns the findings as conditions.

    The parameter `before` is the previous status of the RouterDeployment. A condition whose field `status` has not
    changed keeps the earlier transition time.
    """
    old = {condition["type"]: condition for condition in before.get("conditions", ())}
    return [_condition(finding, old.get(finding.type), generation, now) for finding in findings]


def previous_finding(before: Mapping[str, Any], type_: str, reasons: frozenset[Reason]) -> Finding | None:
    """Returns the condition `type_` in the status `before` as a Finding if its reason is in `reasons`, or else None."""
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
    """Returns the sentence with a capital first letter if its first word has only letters, or else unchanged."""
    return sentence[:1].upper() + sentence[1:] if sentence.partition(" ")[0].isalpha() else sentence


def _cut(message: str) -> str:
    return message if len(message) <= _MAXIMUM_MESSAGE else message[: _MAXIMUM_MESSAGE - 1] + "…"
