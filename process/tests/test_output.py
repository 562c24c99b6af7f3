"""Output never blocks or fails the program, and lost lines are counted."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_router_process.output import LineWriter

LONG = 60.0
"""A number of seconds that is longer than any test waits."""
MEBIBYTE = b"x" * (2**20 - 1) + b"\n"


class Pipe:
    """A pipe whose reader can pause, with a writer of lines."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.lines = LineWriter(self.writing)

    def read_all(self) -> bytes:
        """Returns everything that is written until the queue is empty."""
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(self.reading, 65536), b"")))
        reader.start()
        self.lines.flush(LONG)
        os.close(self.writing)
        reader.join()
        return b"".join(received)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    created = Pipe()
    yield created
    for descriptor in (created.reading, created.writing):
        with suppress(OSError):
            os.close(descriptor)


@given(st.lists(st.binary(max_size=9000).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=60))
def test_all_lines_arrive_in_order(lines: list[bytes]) -> None:
    pipe = Pipe()
    for line in lines:
        pipe.lines.put(line)
    assert pipe.read_all() == b"".join(lines)
    os.close(pipe.reading)
    assert pipe.lines.lost == 0


def test_lines_of_several_threads_do_not_mix(pipe: Pipe) -> None:
    def put(name: bytes) -> None:
        for _ in range(500):
            pipe.lines.put(name * 99 + b"\n")

    threads = [threading.Thread(target=put, args=(name,)) for name in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(pipe.read_all().splitlines()) == [name * 99 for name in (b"a", b"b", b"c") for _ in range(500)]


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_wait_while_nobody_reads_and_lines_beyond_the_capacity_are_reported_once(
    pipe: Pipe, blocking: bool
) -> None:
    os.set_blocking(pipe.writing, blocking)
    for _ in range(10):
        pipe.lines.put(MEBIBYTE)
    assert pipe.lines.lost == 2
    *written, report = pipe.read_all().splitlines(keepends=True)
    assert written == [MEBIBYTE] * 8
    assert report.startswith(b"2 lines of output were lost")


def test_a_line_that_is_longer_than_the_capacity_is_written(pipe: Pipe) -> None:
    pipe.lines.put(b"x" * (9 * 2**20) + b"\n")
    assert len(pipe.read_all()) == 9 * 2**20 + 1


def test_a_flush_ends_even_if_nobody_reads(pipe: Pipe) -> None:
    pipe.lines.put(MEBIBYTE)
    pipe.lines.flush(0.1)
    assert pipe.lines.lost == 0


def without_reader() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def closed() -> int:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.close(descriptor)
    return descriptor


@pytest.mark.parametrize("opened", [without_reader, closed, lambda: os.open("/dev/full", os.O_WRONLY)])
def test_lines_that_cannot_be_written_are_counted(opened: Callable[[], int]) -> None:
    lines = LineWriter(opened())
    for _ in range(5):
        lines.put(b"line\n")
    lines.flush(LONG)
    assert lines.lost == 5
