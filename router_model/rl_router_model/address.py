"""Parses and formats the addresses of servers. An IPv6 address has brackets in a URL, but not outside URLs."""

import argparse
import ipaddress


def read_host(text: str) -> str:
    """Returns the value of the flag --host, without the brackets that an IPv6 address has in a URL.

    Raises argparse.ArgumentTypeError.
    """
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host or host != text:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f'"{text}" is neither an IP address nor a host name. Use an address such as 127.0.0.1 or ::1, without'
                " a port"
            ) from None
    return host


def authority(host: str, port: int) -> str:
    """Returns a host and a port in the form that URLs use, such as `127.0.0.1:8000` or `[::1]:8000`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
