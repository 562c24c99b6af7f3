"""Loads the TLS certificate and opens the listening socket, both before llama.cpp loads the model."""

import socket
import ssl
from typing import Any

from rl_router_model.address import authority
from rl_router_model.problem import ExitCode, StartError


def bind(host: str, port: int) -> socket.socket:
    """Returns a listening socket on the address `host` and the port `port`.

    The address `::` means all IPv4 and IPv6 addresses. Raises StartError.
    """
    try:
        resolved = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise StartError(
            ExitCode.ADDRESS,
            f"--host {host} cannot be resolved: {error.strerror}. Use an address of this machine such as 127.0.0.1",
        ) from None
    try:
        return _open(*resolved)
    except OSError as error:
        raise StartError(ExitCode.ADDRESS, _refusal(error, host, port)) from None


def _open(family: int, kind: int, protocol: int, _name: str, address: tuple[Any, ...]) -> socket.socket:
    """Returns a listening socket on an address that the function `getaddrinfo` returned. Raises OSError."""
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # With this option, `::` accepts IPv4 connections too, even if the system's default is IPv6 only.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        # With SO_REUSEADDR two sockets may bind to the same port, but only one may listen.
        bound.listen(128)
    except OSError:
        bound.close()
        raise
    return bound


def tls(certfile: str | None, keyfile: str | None) -> ssl.SSLContext | None:
    """Returns the TLS context for HTTPS, or None if no certificate is configured. Raises StartError."""
    if certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certfile, keyfile)
    except (OSError, ssl.SSLError) as error:
        names = certfile if keyfile is None else f"{certfile} with the key {keyfile}"
        raise StartError(
            ExitCode.COMMAND_LINE,
            f"the certificate {names} cannot be used: {error.strerror or error}."
            " Set --ssl-certfile to a readable PEM certificate, and --ssl-keyfile to the certificate's key",
        ) from None
    return context


def _refusal(error: OSError, host: str, port: int) -> str:
    if isinstance(error, PermissionError):
        return f"port {port} requires privileges: choose a port above 1023 with --port"
    if error.errno == 98:
        return f"port {port} is in use: stop the program that uses the port, or choose another port with --port"
    return f"cannot listen on {authority(host, port)}: {error.strerror}. Use an address of this machine for --host"
