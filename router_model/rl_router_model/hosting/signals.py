"""Turns the signals that end the command into an exception, while there is a server to stop."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks the command to end. `code` is the exit code: 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Signals:
    """Handles SIGINT, SIGTERM and SIGHUP: they wait until the block of `raised`, and are ignored after its end."""

    def __init__(self) -> None:
        self._pending: int | None = None
        self._raises = False

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handles the signals within the block. One that is ignored already, as by nohup, stays ignored."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._receive)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """Raises Interrupted for a signal within the block, or before it."""
        self._raises = True
        if self._pending is not None:
            self._raise(self._pending)
        try:
            yield
        finally:
            self._ignore()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._raises:
            self._raise(number)
        self._pending = number

    def _raise(self, number: int) -> None:
        self._ignore()
        raise Interrupted(number)

    def _ignore(self) -> None:
        # From now on the server is being stopped, which no further signal must interrupt.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
