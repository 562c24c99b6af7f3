"""Opens the sockets that a server listens on."""

from __future__ import annotations

import errno
import socket

from ..config import Server
from ..errors import ListenError

_BACKLOG = 2048


def listen(server: Server) -> list[socket.socket]:
    """Returns the listening socket of the API and, if configured, that of the admin port. Raises ListenError."""
    sockets = [_bind(server.host, server.port, "--serve-port")]
    admin_port = server.admin_port if server.admin_port is not None else server.port and server.port + 1
    if admin_port:
        sockets.append(_bind(server.admin_host, admin_port, "--server.admin-port (0 turns it off)"))
    return sockets


def address(host: str, port: int) -> str:
    """Returns host and port as they are written in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(host: str, port: int, flag: str) -> socket.socket:
    try:
        return _open(host, port)
    except (OSError, OverflowError, UnicodeError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is in use" if in_use else f"cannot be used ({getattr(error, 'strerror', None) or error})"
        remedy = f"Stop the process that listens there, or choose another address with {flag}."
        raise ListenError(f"{address(host, port)} {reason}. {remedy}") from None


def _open(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on a host and port. Raises OSError, OverflowError and UnicodeError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, (ip, _, *scope) = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    # asyncio sets TCP_NODELAY only if the protocol number is given. Without it, small responses take 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` accepts IPv4 connections too, whatever the system's default is.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((ip, port, *scope))
        listener.listen(_BACKLOG)
        listener.set_inheritable(True)
    except BaseException:
        listener.close()
        raise
    return listener
