"""Validates the address on which a server listens, and recognizes loopback addresses."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field


def _without_brackets(host: str) -> str:
    """Returns the host, without the brackets that an IPv6 address has in a URL.

    A host in brackets or with a colon must be an IPv6 address. Otherwise, the function raises ValueError.
    """
    address = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in address or address != host:
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            raise ValueError(
                f'"{host}" is neither an IP address nor a host name. Use an address such as 127.0.0.1 or ::1, without'
                " a port"
            ) from None
    return address


Host = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_without_brackets)]
"""The address or host name on which a server listens. The validation removes brackets around an IPv6 address."""


def is_loopback(host: str) -> bool:
    """Returns whether a host is `localhost` or a loopback address, to which only local clients can connect."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
