"""Output never blocks or fails the program, and lost lines are counted."""

import itertools
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_router_process import output
from rl_router_process.output import LineWriter

Handle = Callable[[Callable[[], None]], None]
LONG = 60.0
"""A number of seconds that is longer than any test waits."""
MODULES = [str(module.__file__) for module in (output, signal, threading)]
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

    def read_until(self, end: bytes) -> bytes:
        """Returns what is written up to `end`, which the writing thread must write without a flush."""
        received = b""
        while not received.endswith(end):
            assert select.select([self.reading], [], [], LONG)[0]
            received += os.read(self.reading, 2**20)
        return received

    def close(self) -> None:
        """Closes both ends of the pipe."""
        for descriptor in (self.reading, self.writing):
            with suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    created = Pipe()
    yield created
    created.close()


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


def test_long_lines_of_several_processes_that_take_turns_do_not_mix(pipe: Pipe, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    writers = [LineWriter(pipe.writing) for _ in range(2)]
    for writer in writers:
        # Each open file has its own lock, even within one process.
        writer.take_turns(str(lock))
    lines = [name * 99_999 + b"\n" for name in (b"a", b"b")]
    for line, writer in zip(lines, writers, strict=True):
        for _ in range(30):
            writer.put(line)
    received = b""
    while len(received) < 60 * 100_000:
        received += os.read(pipe.reading, 2**20)
    assert sorted(received.splitlines(keepends=True)) == sorted(lines * 30)


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


class Interrupted(BaseException):
    """The exception that a signal handler raises."""


class Interruption:
    """Runs `handler` once, after `calls` calls of the module `output` and of the modules that `output` uses."""

    def __init__(self, handler: Callable[[], None], calls: int) -> None:
        self._handler, self._calls = handler, calls
        self.happened = False

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Counts the calls, after which Python runs signal handlers, as a function for `sys.setprofile`."""
        if self.happened or event not in ("call", "c_return") or frame.f_code.co_filename not in MODULES:
            return
        if self._calls:
            self._calls -= 1
            return
        self.happened = True
        self._handler()

    def during(self, action: Callable[[], None]) -> None:
        """Runs the handler during `action`."""
        sys.setprofile(self)
        try:
            action()
        except Interrupted:
            """The handler has ended the action."""
        finally:
            sys.setprofile(None)


@pytest.fixture
def handle() -> Iterator[Handle]:
    """Sets the handler of the signal that `interruptions` sends. The handler is removed when the test ends."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, lambda *_: handler())
    signal.signal(signal.SIGUSR1, before)


def interrupt() -> None:
    raise Interrupted


def interruptions() -> Iterator[Interruption]:
    """Yields interruptions by a signal after no call, one call, two calls etc., until an action makes fewer calls."""
    for calls in itertools.count():
        interruption = Interruption(lambda: signal.raise_signal(signal.SIGUSR1), calls)
        yield interruption
        if not interruption.happened:
            return


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the writing thread wait for the next line as soon as the queue is empty."""
    monkeypatch.setattr(output, "_PAUSE", 0)


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("before", [b"", b"before\n"], ids=["first line", "later line"])
@pytest.mark.parametrize("line", [b"line\n", MEBIBYTE * 8], ids=["short line", "line that fills the queue"])
def test_an_exception_of_a_signal_handler_loses_at_most_the_line_that_is_added(
    handle: Handle, before: bytes, line: bytes
) -> None:
    handle(interrupt)
    for interruption in interruptions():
        pipe = Pipe()
        # The next line is dropped if the queue is full. Then the report of the loss is the last line.
        pipe.lines.describe_loss = lambda _: b"after\n"
        if before:
            pipe.lines.put(before)
            pipe.lines.flush(LONG)
        interruption.during(lambda: pipe.lines.put(line))  # noqa: B023
        pipe.lines.put(b"after\n")
        assert pipe.read_until(b"after\n") in (before + b"after\n", before + line + b"after\n")
        pipe.close()


def test_the_end_of_the_program_waits_for_a_line_after_an_exception_of_a_signal_handler(handle: Handle) -> None:
    handle(interrupt)
    for interruption in interruptions():
        pipe = Pipe()
        interruption.during(lambda: pipe.lines.put(b"line\n"))  # noqa: B023
        assert pipe.read_all() in (b"", b"line\n")
        pipe.close()


def test_the_queue_keeps_its_capacity_after_an_exception_of_a_signal_handler(handle: Handle) -> None:
    handle(interrupt)
    for interruption in interruptions():
        pipe = Pipe()
        interruption.during(lambda: pipe.lines.put(MEBIBYTE))  # noqa: B023
        for _ in range(7):
            pipe.lines.put(MEBIBYTE)
        assert pipe.read_all() in (MEBIBYTE * 7, MEBIBYTE * 8)
        assert pipe.lines.lost == 0
        pipe.close()


def test_the_main_thread_gets_signals_after_an_exception_of_a_signal_handler(handle: Handle) -> None:
    handle(interrupt)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for interruption in interruptions():
        pipe = Pipe()
        interruption.during(lambda: pipe.lines.put(b"line\n"))  # noqa: B023
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
        pipe.read_all()
        pipe.close()


def test_a_signal_handler_may_add_a_line_at_any_time(handle: Handle) -> None:
    pipes = [Pipe()]
    handle(lambda: pipes[-1].lines.put(b"handler\n"))
    for interruption in interruptions():
        interruption.during(lambda: pipes[-1].lines.put(b"line\n"))
        pipes[-1].lines.put(b"after\n")
        *lines, after = pipes[-1].read_all().splitlines()
        assert (sorted(lines), after) == ([b"handler", b"line"][not interruption.happened :], b"after")
        pipes[-1].close()
        pipes.append(Pipe())


def test_a_finalizer_in_the_writing_thread_may_add_a_line() -> None:
    for calls in range(10):
        pipe = Pipe()
        threading.setprofile(Interruption(lambda: pipe.lines.put(b"finalizer\n"), calls))  # noqa: B023
        pipe.lines.put(b"line\n")
        threading.setprofile(None)
        pipe.lines.put(b"after\n")
        lines = pipe.read_all().splitlines()
        assert [line for line in lines if line != b"finalizer"] == [b"line", b"after"]
        pipe.close()
