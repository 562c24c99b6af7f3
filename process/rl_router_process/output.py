"""Writes lines to standard output and standard error, even if nobody reads the lines or the streams are broken.

The thread that writes a line never waits for a pipe or terminal, and never gets an error.
"""

import atexit
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable

_CAPACITY = 8 * 2**20
"""The maximum number of bytes of the lines that wait to be written."""
_BATCH = select.PIPE_BUF
"""The maximum number of bytes per write, unless a line is longer. The kernel never divides a write of at most
`PIPE_BUF` bytes to a pipe, so that the lines of several processes do not mix."""
_PAUSE = 0.02
"""Seconds between two batches of lines, so that the writing thread wakes up only once for many lines."""
_FLUSH_SECONDS = 2.0
"""The maximum number of seconds for which the end of the program is delayed to write the remaining lines."""


def _describe(count: int) -> bytes:
    return b"%d lines of output were lost, because they could not be written. Read the output faster.\n" % count


class LineWriter:
    """Writes lines to the file descriptor `file` in a thread.

    The attribute `lost` is the number of lines that could not be written, because the queue was full or a write failed.
    When a write succeeds again, the line that `describe_loss(count)` returns is written. The argument `count` is the
    number of lines that were lost since the last line of `describe_loss`.
    """

    def __init__(self, file: int) -> None:
        self.lost = 0
        self.describe_loss: Callable[[int], bytes] = _describe
        self._file = file
        self._lines: deque[bytes] = deque()
        self._size = 0
        """The number of bytes in the queue that are not written yet."""
        self._reported = 0
        self._lock = threading.Lock()
        self._idle = True
        self._wakeup = threading.Lock()
        self._wakeup.acquire()
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        """Adds a line, which ends with a line break, to the queue, or drops the line if the queue is full."""
        with self._lock:
            if self._size and self._size + len(line) > _CAPACITY:
                self.lost += 1
                return
            self._lines.append(line)
            self._size += len(line)
            if self._idle:
                self._idle = False
                self._wake()

    def say(self, text: str) -> None:
        """Writes a text for people, followed by a line break."""
        self.put(f"{text}\n".encode(errors="replace"))

    def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Waits until all lines are written, but at most `seconds`."""
        end = time.monotonic() + seconds
        while self._size and time.monotonic() < end:
            time.sleep(_PAUSE / 4)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name=f"output {self._file}")
            _start_without_signals(self._thread)
            atexit.register(self.flush)
        self._wakeup.release()

    def _run(self) -> None:
        while True:
            self._wakeup.acquire()
            while batch := self._next_batch():
                self._write(batch)
                if not self._lines:
                    time.sleep(_PAUSE)

    def _next_batch(self) -> bytes:
        """Returns the next lines of the queue.

        If the queue is empty, returns no bytes and marks the thread as idle, so that the next call of `put` wakes up
        the thread.
        """
        with self._lock:
            if not self._lines:
                self._idle = True
                return b""
            size = len(self._lines[0])
            batch = [self._lines.popleft()]
            while self._lines and (size := size + len(self._lines[0])) <= _BATCH:
                batch.append(self._lines.popleft())
        return b"".join(batch)

    def _write(self, batch: bytes) -> None:
        unwritten = _unwritten(self._file, batch)
        with self._lock:
            self._size -= len(batch)
            if unwritten:
                self.lost += unwritten.count(b"\n")
            elif self.lost > self._reported and not self._lines:
                line = self.describe_loss(self.lost - self._reported)
                self._reported = self.lost
                self._lines.append(line)
                self._size += len(line)


def _start_without_signals(thread: threading.Thread) -> None:
    """Starts a thread that receives no signals, so that the main thread gets all signals, even after blocking them."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _unwritten(file: int, data: bytes) -> bytes:
    """Writes `data`, and waits while a pipe is full. Returns the bytes that cannot be written because of an error."""
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
