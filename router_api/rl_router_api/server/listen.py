"""The sockets that a server listens on."""

from __future__ import annotations

import errno
import socket

from ..config import Server
from ..errors import ListenError

_BACKLOG = 2048


def listen(server: Server) -> list[socket.socket]:
    """Returns the socket of the API and, if there is an admin port, its socket. Raises ListenError."""
    sockets = [_bind(server.host, server.port, "--serve-port")]
    admin_port = server.admin_port if server.admin_port is not None else server.port and server.port + 1
    if admin_port:
        sockets.append(_bind(server.host, admin_port, "--server.admin-port (0 turns it off)"))
    return sockets


def address(host: str, port: int) -> str:
    """Returns host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(host: str, port: int, flag: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's number asyncio does not set TCP_NODELAY, and small responses wait 40 ms for the client.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use" if in_use else f"cannot be used ({getattr(error, 'strerror', None) or error})"
        remedy = f"stop what listens there, or choose another with {flag}"
        raise ListenError(f"{address(host, port)} {why}; {remedy}") from None
    made.set_inheritable(True)
    return made
