"""Limits the threads of numpy's linear algebra."""

import os


def use_one_thread() -> None:
    """Makes numpy's linear algebra use one thread, unless the environment sets another number of threads.

    A decision is too small for several threads: they would wait actively for each other, and take the CPU time of other
    processes. The function has an effect only before the process imports numpy.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
