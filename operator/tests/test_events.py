"""What a person is told by Events, and what not."""

from __future__ import annotations

from typing import Any

import pytest
from rl_router_operator.cluster.events import post
from rl_router_operator.objects.refusal import RefusedError
from rl_router_operator.status.news import is_warning, news

GOOD = {"ModelReady": "Deciding", "APIReady": "Serving", "TargetsReady": "TargetsReachable", "Ready": "Serving"}


def conditions(status: str, reasons: dict[str, str]) -> dict[str, Any]:
    found = [{"type": type_, "status": status, "reason": reason} for type_, reason in reasons.items()]
    return {"conditions": [*found, {"type": "Degraded", "status": "False", "reason": "NoFault"}]}


def told(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(type, condition, reason) of each Event."""
    kinds = {True: "Warning", False: "Normal"}
    return [(kinds[is_warning(each)], each["type"], each["reason"]) for each in news(before, after)]


def test_what_is_merely_under_way_is_no_news() -> None:
    starting = {"ModelReady": "Loading", "APIReady": "Starting", "TargetsReady": "Unconfirmed", "Ready": "Loading"}
    assert told({}, conditions("False", starting)) == []


def test_a_router_that_becomes_ready_is_told_once_and_not_again_by_its_parts() -> None:
    after = conditions("True", GOOD)
    assert told({}, after) == [("Normal", "Ready", "Serving")]
    assert told(after, after) == []


def test_a_part_that_recovers_is_told_while_the_whole_is_not_ready() -> None:
    before, after = conditions("False", dict.fromkeys(GOOD, "CrashLooping")), conditions("True", GOOD)
    after["conditions"][1:4] = before["conditions"][1:4]
    assert told(before, after) == [("Normal", "ModelReady", "Deciding")]


def test_a_fault_is_told_where_it_is_and_not_again_by_ready() -> None:
    before = conditions("True", GOOD)
    after = conditions("True", {**GOOD, "Ready": "x"})
    after["conditions"][0] |= {"status": "False", "reason": "CrashLooping"}
    after["conditions"][3] |= {"status": "False", "reason": "CrashLooping"}
    assert told(before, after) == [("Warning", "ModelReady", "CrashLooping")]


def test_what_was_asked_for_is_no_warning() -> None:
    after = conditions("False", dict.fromkeys(GOOD, "Suspended"))
    assert {type_ for type_, *_ in told(conditions("True", GOOD), after)} == {"Normal"}


def test_a_reason_that_ready_alone_gives_is_told() -> None:
    after = conditions("True", {**GOOD, "Ready": "x"})
    after["conditions"][3] |= {"status": "False", "reason": "InvalidSpec"}
    assert told(conditions("True", GOOD), after) == [("Warning", "Ready", "InvalidSpec")]


async def test_that_a_namespace_is_being_deleted_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    class Ending:
        async def create(self, *_: Any) -> None:
            cause = {"reason": "NamespaceTerminating", "message": "namespace ns is being terminated"}
            raise RefusedError(403, {"message": "forbidden", "details": {"causes": [cause]}})

    after = conditions("True", GOOD)
    body = {"metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1}}
    await post(Ending(), body, news({}, after))  # type: ignore[arg-type]
    assert caplog.text == ""
