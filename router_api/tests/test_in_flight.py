"""The workers of one server count together how many requests and calls are in flight."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from rl_router_api.upstreams.in_flight import InFlight, WorkerRow, make_in_flight_table

# Nothing closes the tables before the process ends.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def table(tmp_path: Path) -> str:
    return make_in_flight_table(str(tmp_path), 3)


def test_requests_that_began_and_have_not_ended_are_in_flight() -> None:
    in_flight = InFlight()
    assert in_flight.total("a") == 0
    in_flight.change("a", 1)
    in_flight.change("a", 1)
    in_flight.change("b", 1)
    in_flight.change("a", -1)
    assert (in_flight.total("a"), in_flight.total("b")) == (1, 1)
    in_flight.change("a", -1)
    assert in_flight.total("a") == 0


def test_every_worker_sees_the_total_of_all_workers(table: str) -> None:
    workers = [InFlight(WorkerRow(table, row, 3)) for row in range(3)]
    for count, worker in enumerate(workers, 1):
        for _ in range(count):
            worker.change("a", 1)
    assert [worker.total("a") for worker in workers] == [6, 6, 6]
    workers[2].change("a", -1)
    assert [worker.total("a") for worker in workers] == [5, 5, 5]


def test_the_successor_of_a_dead_worker_clears_its_row(table: str) -> None:
    one, other = InFlight(WorkerRow(table, 0, 3)), InFlight(WorkerRow(table, 1, 3))
    one.change("a", 1)
    other.change("a", 5)
    successor = InFlight(WorkerRow(table, 1, 3))
    assert one.total("a") == successor.total("a") == 1


def begin_many(path: str, row: int) -> None:
    in_flight = InFlight(WorkerRow(path, row, 3))
    for _ in range(1_000):
        in_flight.change("a", 1)
    for _ in range(999):
        in_flight.change("a", -1)


def test_processes_that_count_at_the_same_time_do_not_disturb_each_other(table: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=begin_many, args=(table, row)) for row in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    observer = InFlight(WorkerRow(table, 2, 3))
    assert observer.total("a") == 2


def test_a_full_row_still_counts_the_names_that_it_holds(table: str) -> None:
    in_flight = InFlight(WorkerRow(table, 0, 3))
    for number in range(4_096):
        in_flight.change(f"name-{number}", 1)
    in_flight.change("name-0", 1)
    assert in_flight.total("name-0") == 2
    assert in_flight.total("name-4095") == 1


def test_a_worker_counts_a_name_of_its_own_even_if_its_row_is_full(table: str) -> None:
    in_flight = InFlight(WorkerRow(table, 0, 3))
    for number in range(4_097):
        in_flight.change(f"name-{number}", 1)
    assert in_flight.total("name-4096") == 1


def test_a_name_with_nothing_in_flight_leaves_its_cell_to_a_new_name(table: str) -> None:
    one, other = InFlight(WorkerRow(table, 0, 3)), InFlight(WorkerRow(table, 1, 3))
    for number in range(5_000):
        one.change(f"upstream:{number}", 1)
        one.change(f"upstream:{number}", -1)
    one.change("upstream:new", 1)
    assert other.total("upstream:new") == 1
