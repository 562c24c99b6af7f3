"""Chooses free TCP ports for the servers of tests, and URLs that refuse connections."""

from __future__ import annotations

import atexit
import random
import socket
from collections import deque
from contextlib import ExitStack

_PORTS = range(10_000, 32_000)
"""These ports are below the ports that Linux gives to outgoing connections by default."""
_KEPT = 32
_random = random.Random()
_reservations: deque[ExitStack] = deque()


def free_ports(count: int) -> list[int]:
    """Returns `count` successive TCP ports of 127.0.0.1 on which no program listens.

    The ports stay reserved until this process has called this function 32 more times, or ends. So, of several processes
    that run tests on one machine, no two choose the same port, even if a server starts to listen seconds later. A UDP
    socket on the same port number is the reservation.
    """
    while True:
        first = _random.choice(_PORTS[: 1 - count or None])
        ports = list(range(first, first + count))
        with ExitStack() as stack:
            try:
                _bind(stack, ports, socket.SOCK_DGRAM)
                with ExitStack() as probes:
                    _bind(probes, ports, socket.SOCK_STREAM)
            except OSError:
                continue
            _keep(stack.pop_all())
            return ports


def free_port() -> int:
    """Returns a TCP port of 127.0.0.1 on which no program listens. The function `free_ports` reserves the port."""
    return free_ports(1)[0]


def closed_url() -> str:
    """Returns a base URL that refuses connections, because no program listens on the port of the URL."""
    return f"http://127.0.0.1:{free_port()}/v1"


def _bind(stack: ExitStack, ports: list[int], kind: socket.SocketKind) -> None:
    """Opens a socket on each port until the end of `stack`. Raises OSError if a port is in use."""
    for port in ports:
        stack.enter_context(socket.socket(type=kind)).bind(("127.0.0.1", port))


def _keep(reservation: ExitStack) -> None:
    _reservations.append(reservation)
    if len(_reservations) > _KEPT:
        _reservations.popleft().close()


@atexit.register
def _release() -> None:
    while _reservations:
        _reservations.pop().close()
