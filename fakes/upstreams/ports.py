"""Addresses on this machine on which nothing listens."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Returns different TCP ports of 127.0.0.1 that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_port() -> int:
    """Returns a TCP port of 127.0.0.1 that is free now."""
    return free_ports(1)[0]


def closed_url() -> str:
    """Returns a base URL whose connections are refused."""
    return f"http://127.0.0.1:{free_port()}/v1"
