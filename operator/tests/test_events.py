"""Which changes of a status become Events."""

from __future__ import annotations

from typing import Any

import pytest
from rl_router_operator.cluster.events import post
from rl_router_operator.objects.refusal import RefusedError
from rl_router_operator.status.news import is_warning, news

GOOD = {"ModelReady": "Deciding", "APIReady": "Serving", "TargetsReady": "TargetsReachable", "Ready": "Serving"}


def conditions(status: str, reasons: dict[str, str]) -> dict[str, Any]:
    listed = [{"type": type_, "status": status, "reason": reason} for type_, reason in reasons.items()]
    return {"conditions": [*listed, {"type": "Degraded", "status": "False", "reason": "NoFault"}]}


def events(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Returns (type, condition, reason) of each Event."""
    kinds = {True: "Warning", False: "Normal"}
    return [(kinds[is_warning(new)], new["type"], new["reason"]) for new in news(before, after)]


def test_progress_makes_no_event() -> None:
    starting = {"ModelReady": "Loading", "APIReady": "Starting", "TargetsReady": "Unconfirmed", "Ready": "Loading"}
    assert events({}, conditions("False", starting)) == []


def test_a_router_that_becomes_ready_has_one_event_and_its_parts_have_none() -> None:
    after = conditions("True", GOOD)
    assert events({}, after) == [("Normal", "Ready", "Serving")]
    assert events(after, after) == []


def test_a_part_that_recovers_has_an_event_while_the_router_is_not_ready() -> None:
    before, after = conditions("False", dict.fromkeys(GOOD, "CrashLooping")), conditions("True", GOOD)
    after["conditions"][1:4] = before["conditions"][1:4]
    assert events(before, after) == [("Normal", "ModelReady", "Deciding")]


def test_a_fault_has_an_event_for_its_condition_and_none_for_ready() -> None:
    before = conditions("True", GOOD)
    after = conditions("True", {**GOOD, "Ready": "x"})
    after["conditions"][0] |= {"status": "False", "reason": "CrashLooping"}
    after["conditions"][3] |= {"status": "False", "reason": "CrashLooping"}
    assert events(before, after) == [("Warning", "ModelReady", "CrashLooping")]


def test_an_intended_state_is_not_a_warning() -> None:
    after = conditions("False", dict.fromkeys(GOOD, "Suspended"))
    assert {type_ for type_, *_ in events(conditions("True", GOOD), after)} == {"Normal"}


def test_a_reason_that_only_ready_has_makes_an_event() -> None:
    after = conditions("True", {**GOOD, "Ready": "x"})
    after["conditions"][3] |= {"status": "False", "reason": "InvalidSpec"}
    assert events(conditions("True", GOOD), after) == [("Warning", "Ready", "InvalidSpec")]


async def test_an_event_that_a_terminating_namespace_rejects_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    class TerminatingNamespace:
        async def create(self, *_: Any) -> None:
            cause = {"reason": "NamespaceTerminating", "message": "namespace ns is being terminated"}
            raise RefusedError(403, {"message": "forbidden", "details": {"causes": [cause]}})

    after = conditions("True", GOOD)
    body = {"metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1}}
    await post(TerminatingNamespace(), body, news({}, after))  # type: ignore[arg-type]
    assert caplog.text == ""


@pytest.mark.parametrize("character", ["x", "é", "語", "🙂"])
async def test_the_note_of_an_event_has_at_most_1024_bytes(character: str) -> None:
    notes: list[str] = []

    class Recording:
        async def create(self, _kind: Any, event: dict[str, Any]) -> None:
            notes.append(event["note"])

    condition = {"type": "Degraded", "status": "True", "reason": "Failed", "message": character * 2_000}
    body = {"metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1}}
    await post(Recording(), body, [condition])  # type: ignore[arg-type]
    assert [1_020 < len(note.encode()) <= 1_024 for note in notes] == [True]
