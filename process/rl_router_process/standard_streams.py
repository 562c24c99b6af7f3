"""Opens the standard streams that were closed when the program started."""

import os
import sys


def open_closed_streams() -> None:
    """Opens /dev/null for each closed descriptor among 0, 1 and 2, and adds the missing streams to `sys`.

    A program must call the function `open_closed_streams` before the program opens any file or socket. Otherwise, if
    one of these descriptors is closed, the next file or socket gets the number of the closed descriptor. Text that a
    library prints may then be written to the file or socket.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The system chooses the lowest closed descriptor, which is `number`.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
