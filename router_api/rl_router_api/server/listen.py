"""Opens the sockets on which the server of the router API listens."""

from __future__ import annotations

import errno
import socket

from ..config import Server
from ..errors import ListenError

_BACKLOG = 2048


def listen(server: Server) -> list[socket.socket]:
    """Returns the listening socket of the API and, unless the admin port is disabled, the socket of the admin port.

    Raises ListenError if the server cannot listen on an address.
    """
    sockets = [_bind(server.host, server.port, "--host or --serve-port")]
    admin_port = server.admin_port if server.admin_port is not None else server.port and server.port + 1
    if admin_port:
        flags = "--server.admin-host or --server.admin-port (port 0 disables the admin port)"
        sockets.append(_bind(server.admin_host, admin_port, flags))
    return sockets


def address(host: str, port: int) -> str:
    """Returns a host and a port in the form that URLs use, such as `[::1]:8800`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(host: str, port: int, flags: str) -> socket.socket:
    try:
        return _open(host, port)
    except (OSError, OverflowError, UnicodeError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is in use" if in_use else f"cannot be used ({getattr(error, 'strerror', None) or error})"
        remedy = "Stop the process that uses this address, or choose" if in_use else "Choose"
        raise ListenError(f"{address(host, port)} {reason}. {remedy} another address with {flags}.") from None


def _open(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on a host and port.

    Raises OSError, OverflowError or UnicodeError if the host or the port cannot be used.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, (ip, _, *scope) = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    # asyncio sets TCP_NODELAY only if the protocol number is given. Without TCP_NODELAY, small responses take 40 ms
    # longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # The address `::` accepts IPv4 connections too, independent of the system's default.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((ip, port, *scope))
        listener.listen(_BACKLOG)
        listener.set_inheritable(True)
    except BaseException:
        listener.close()
        raise
    return listener
