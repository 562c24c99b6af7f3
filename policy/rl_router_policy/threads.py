"""Limits the threads of numpy's linear algebra."""

import os


def use_one_thread() -> None:
    """Makes numpy's linear algebra use one thread, unless OPENBLAS_NUM_THREADS is already set.

    A decision is too small for several threads: they would busy-wait for each other, and take CPU time from other
    processes. The function has an effect only before the process imports numpy.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
