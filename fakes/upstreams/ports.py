"""Finds free TCP ports on this machine, and URLs that refuse connections."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Returns `count` different TCP ports of 127.0.0.1 on which no program listens now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_port() -> int:
    """Returns a TCP port of 127.0.0.1 on which no program listens now."""
    return free_ports(1)[0]


def closed_url() -> str:
    """Returns a base URL that refuses connections, because no program listens on the port of the URL."""
    return f"http://127.0.0.1:{free_port()}/v1"
