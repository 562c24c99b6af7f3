"""The daily counters that the workers of one server share."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
from rl_router_api.access.day_counters import DayCounters, make_counter_table

# These tests do not close the files of the tables, which causes a warning.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

DAY = 86_400


class Clock:
    def __init__(self) -> None:
        self.now = 10 * DAY + 1.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock.time)
    return clock


@pytest.fixture(params=["alone", "shared"])
def counters(request: pytest.FixtureRequest, tmp_path: Path) -> DayCounters:
    return DayCounters(make_counter_table(str(tmp_path)) if request.param == "shared" else None)


def test_an_unknown_counter_is_zero(counters: DayCounters) -> None:
    assert counters.get("requests:a") == 0


def test_each_name_has_its_own_sum(counters: DayCounters) -> None:
    assert [counters.add("a", 1), counters.add("a", 2), counters.add("b", 5)] == [1, 3, 5]
    assert (counters.get("a"), counters.get("b")) == (3, 5)


def test_a_sum_can_be_a_million_dollars_in_picodollars(counters: DayCounters) -> None:
    assert counters.add("usd:a", 10**18) == counters.get("usd:a") == 10**18


def test_a_sum_stops_at_the_maximum(counters: DayCounters) -> None:
    counters.add("usd:a", 5)
    assert counters.add("usd:a", 10**30) == counters.add("usd:a", 1) == counters.get("usd:a") == 2**63 - 1


def test_a_new_day_resets_every_counter(counters: DayCounters, clock: Clock) -> None:
    counters.add("a", 7)
    clock.now = 11 * DAY - 1
    assert counters.get("a") == 7
    clock.now = 11 * DAY
    assert counters.get("a") == 0
    assert counters.add("a", 1) == 1


def test_a_full_table_ignores_new_names_and_keeps_its_counters() -> None:
    counters = DayCounters()
    names = [f"name-{number}" for number in range(16_384 + 2)]
    for name in names:
        counters.add(name, 3)
    assert [counters.get(name) for name in names[-3:]] == [3, 0, 0]
    assert counters.add(names[0], 1) == 4


def test_instances_with_the_same_file_share_their_counters(tmp_path: Path) -> None:
    path = make_counter_table(str(tmp_path))
    one, other = DayCounters(path), DayCounters(path)
    one.add("a", 1)
    assert other.add("a", 1) == 2
    assert one.get("a") == 2


def add_many(path: str, times: int) -> None:
    counters = DayCounters(path)
    for _ in range(times):
        counters.add("a", 1)


def test_concurrent_additions_of_processes_are_all_counted(tmp_path: Path) -> None:
    path = make_counter_table(str(tmp_path))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_many, args=(path, 2_000)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert DayCounters(path).get("a") == 6_000


def test_a_clock_that_is_set_back_neither_resets_nor_doubles_a_day(counters: DayCounters, clock: Clock) -> None:
    counters.add("requests:a", 2)
    for step in (-30, -DAY, -40 * DAY):
        clock.now = 10 * DAY + 1.0 + step
        assert counters.get("requests:a") == 2
    clock.now = 10 * DAY + 5.0
    assert counters.add("requests:a", 1) == 3
    clock.now = 11 * DAY
    assert counters.get("requests:a") == 0


def test_after_a_clock_was_set_back_far_the_day_lasts_24_hours(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = DayCounters()
    counters.add("requests:a", 2)
    clock.now = 5.0
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun + DAY - 10)
    assert counters.get("requests:a") == 2
    monkeypatch.setattr(time, "monotonic", lambda: begun + DAY + 10)
    assert counters.get("requests:a") == 0
