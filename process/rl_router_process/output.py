"""Writes lines to standard output and standard error, in a separate thread for each of the two streams.

A thread that calls the method `put` or `say` never waits for a pipe or a terminal, and never gets a write error, even
if nobody reads the lines or the streams are broken.
"""

import atexit
import fcntl
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue

_CAPACITY = 8 * 2**20
"""The capacity, in bytes, of the queue of lines that wait to be written."""
_BATCH = 64 * 2**10
"""The maximum number of bytes of a write that contains several lines. After each write, the writing thread may wait
5 ms for the lock of the Python interpreter, so smaller writes could not keep up with a busy server."""
_PAUSE = 0.02
"""The seconds of sleep after a write, unless a whole batch waits, so that the thread wakes up once for many lines."""
_FLUSH_SECONDS = 2.0
"""The maximum number of seconds for which each stream delays the end of the program to write its remaining lines."""


def _describe(count: int) -> bytes:
    return b"%d lines of output were lost, because they could not be written. Read the output faster.\n" % count


class LineWriter:
    """Writes lines to the file descriptor `file` in a thread.

    The attribute `lost` is the number of lines that could not be written, because the queue was full or a write failed.
    After a write that succeeds and empties the queue, the thread adds the line that `describe_loss(count)` returns, if
    lines were lost. The argument `count` is the number of lines lost since the previous call of `describe_loss`.

    A signal handler or a finalizer may interrupt the method `put` at any step and add lines. A signal handler may also
    raise an exception. Therefore `put` adds a line without a lock, and every step of it leaves a valid state.
    """

    def __init__(self, file: int) -> None:
        self.lost = 0
        self.describe_loss: Callable[[int], bytes] = _describe
        self._file = file
        self._lines: deque[tuple[int, bytes]] = deque()
        """The lines that are not written yet, each with its end, which is a position in bytes in the whole output."""
        self._end = 0
        """The end of the line that was added last."""
        self._written = 0
        """The end of the last line that the writing thread tried to write. Only this thread changes the attribute."""
        self._reported = 0
        self._counting = threading.RLock()
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._has_thread = False
        self._writing = threading.Lock()
        """The lock that the writing thread never releases, so that a second thread for the same lines ends at once."""
        self._turns: int | None = None
        """The descriptor of the file that the writing thread locks during every write, or None if it locks no file."""
        atexit.register(self.flush)

    def put(self, line: bytes) -> None:
        """Adds a line to the queue, or drops the line if the queue is full. The line must end with a line break.

        The queue may exceed its capacity by a few lines if several threads add lines at the same time. An empty queue
        accepts a line of any length.
        """
        end = self._end + len(line)
        if end - self._written > _CAPACITY and self._lines:
            self._lose(1)
        else:
            self._lines.append((end, line))
            self._end = end
        if self._wakeups.empty():
            self._wake()

    def say(self, text: str) -> None:
        """Adds a message and a line break to the queue, or drops the message if the queue is full."""
        self.put(f"{text}\n".encode(errors="replace"))

    def take_turns(self, path: str) -> None:
        """Makes the writing thread lock the existing file at `path` during every write.

        The kernel may divide a write of more than `PIPE_BUF` bytes to a pipe. If several processes write to the same
        pipe, their lines may mix, unless each of the processes calls the method `take_turns` with the same path.
        """
        self._turns = os.open(path, os.O_RDONLY)

    def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Waits until all lines are written, but for at most `seconds` seconds."""
        if self._lines:
            # A signal handler may have ended a call of `put` after the call had added a line.
            self._wake()
        end = time.monotonic() + seconds
        while self._lines and time.monotonic() < end:
            time.sleep(_PAUSE / 4)

    def _wake(self) -> None:
        """Makes the writing thread read the queue. Starts the thread if the thread does not run yet."""
        if not self._has_thread:
            _start_without_signals(threading.Thread(target=self._run, daemon=True, name=f"output {self._file}"))
            self._has_thread = True
        # A wakeup in the queue always means that the thread runs, because the thread is started first.
        self._wakeups.put(None)

    def _lose(self, count: int) -> None:
        with self._counting:
            self.lost += count

    def _run(self) -> None:
        if not self._writing.acquire(blocking=False):
            return
        while True:
            self._wakeups.get()
            while self._lines:
                self._write(self._next_batch())
                if self._end - self._written < _BATCH:
                    time.sleep(_PAUSE)

    def _next_batch(self) -> list[tuple[int, bytes]]:
        """Returns the lines of the queue for the next write. The lines stay in the queue until the write ends."""
        batch = [self._lines[0]]
        size = len(batch[0][1])
        while len(batch) < len(self._lines) and (size := size + len(self._lines[len(batch)][1])) <= _BATCH:
            batch.append(self._lines[len(batch)])
        return batch

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        with _locked(self._turns):
            unwritten = _unwritten(self._file, b"".join([line for _, line in batch]))
        self._written = batch[-1][0]
        if unwritten:
            self._lose(unwritten.count(b"\n"))
        elif (lost := self.lost) > self._reported and len(self._lines) == len(batch):
            line = self.describe_loss(lost - self._reported)
            self._reported = lost
            self.put(line)
        for _ in batch:
            self._lines.popleft()


def _start_without_signals(thread: threading.Thread) -> None:
    """Starts a thread that receives no signals, so that a signal stays pending while the main thread blocks it."""
    # Each call of `pthread_sigmask` may run a signal handler that raises an exception after the call changed the mask.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _locked(file: int | None) -> Iterator[None]:
    """Tries to lock the file with the descriptor `file` until the `with` block ends. Does nothing if `file` is None."""
    if file is None:
        yield
        return
    # Without the lock, for example because the file system has no locks, only long lines may mix.
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    yield
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)


def _unwritten(file: int, data: bytes) -> bytes:
    """Writes the bytes `data`, and waits while the pipe or terminal is full.

    Returns the bytes that could not be written because of an error.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(file, rest) :]
        except BlockingIOError:
            # Another process has made the pipe or terminal non-blocking.
            ready = select.poll()
            ready.register(file, select.POLLOUT)
            ready.poll()
        except OSError:
            break
    return bytes(rest)


STDOUT, STDERR = LineWriter(1), LineWriter(2)
