"""Raises an exception for the signals SIGINT, SIGTERM and SIGHUP while the server runs."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The exception for a signal that ends the command. The exit code `code` is 128 plus the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Signals:
    """Handles the signals SIGINT, SIGTERM and SIGHUP.

    The last signal that arrives before the `with` block of the method `raised` is kept until this `with` block begins.
    Signals that arrive after this `with` block are ignored until the `with` block of the method `handled` ends.
    """

    def __init__(self) -> None:
        self._pending: int | None = None
        self._raises = False

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handles the signals SIGINT, SIGTERM and SIGHUP within the `with` block.

        A signal that the process already ignored, for example under the command nohup, stays ignored.
        """
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
        """Raises the exception Interrupted for a signal that arrives within the `with` block or has arrived before the
        `with` block."""
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
        # The caller now stops the server. No further signal may interrupt the caller.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
