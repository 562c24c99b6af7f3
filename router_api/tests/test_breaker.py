"""The circuit breaker of an upstream, with a simulated clock."""

from collections.abc import Callable

import pytest
from rl_router_api.upstreams.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(breaker.begin())


def opened() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(clock)
    fail(breaker, 5)
    return breaker, clock


def test_a_new_breaker_is_closed() -> None:
    assert (Breaker(Clock()).state, Breaker().ready) == ("closed", True)


def test_five_consecutive_failures_open_the_breaker() -> None:
    breaker = Breaker(Clock())
    fail(breaker, 4)
    assert (breaker.state, breaker.ready) == ("closed", True)
    fail(breaker)
    assert (breaker.state, breaker.ready) == ("open", False)


def test_a_success_resets_the_count_of_failures() -> None:
    breaker = Breaker(Clock())
    for _ in range(3):
        fail(breaker, 4)
        breaker.begin()
        breaker.succeeded()
    assert breaker.state == "closed"


def test_cancelled_calls_do_not_count() -> None:
    breaker = Breaker(Clock())
    for _ in range(20):
        breaker.abandoned(breaker.begin())
    fail(breaker, 4)
    assert breaker.state == "closed"


def test_after_a_pause_the_breaker_allows_one_probe_at_a_time() -> None:
    breaker, clock = opened()
    clock.now += 4.9
    assert not breaker.ready
    clock.now += 0.1
    assert (breaker.state, breaker.ready) == ("half_open", True)
    breaker.begin()
    assert not breaker.ready


def test_a_successful_probe_closes_the_breaker() -> None:
    breaker, clock = opened()
    clock.now += 5
    breaker.begin()
    breaker.succeeded()
    assert (breaker.state, breaker.ready) == ("closed", True)
    fail(breaker, 4)
    assert breaker.state == "closed"


def test_a_cancelled_probe_allows_another_probe() -> None:
    breaker, clock = opened()
    clock.now += 5
    breaker.abandoned(breaker.begin())
    assert (breaker.state, breaker.ready) == ("half_open", True)


@pytest.mark.parametrize("end", [Breaker.abandoned, Breaker.failed])
def test_the_result_of_an_older_call_does_not_count_as_the_probes(end: Callable[[Breaker, int], None]) -> None:
    clock = Clock()
    breaker = Breaker(clock)
    older = breaker.begin()
    fail(breaker, 5)
    clock.now += 5
    probe = breaker.begin()
    end(breaker, older)
    clock.now += 5
    assert (breaker.state, breaker.ready) == ("half_open", False)
    breaker.failed(probe)
    clock.now += 9
    assert breaker.state == "open"
    clock.now += 1
    assert breaker.ready


def test_a_call_during_the_probe_is_not_a_probe() -> None:
    breaker, clock = opened()
    clock.now += 5
    breaker.begin()
    breaker.abandoned(breaker.begin())
    assert not breaker.ready


def test_pauses_double_up_to_a_minute_and_a_success_resets_them() -> None:
    breaker, clock = opened()
    pauses = []
    for _ in range(6):
        start = clock.now
        while not breaker.ready:
            clock.now += 1
        pauses.append(clock.now - start)
        fail(breaker)
    assert pauses == [5, 10, 20, 40, 60, 60]
    clock.now += 60
    breaker.begin()
    breaker.succeeded()
    fail(breaker, 5)
    clock.now += 5
    assert breaker.ready
