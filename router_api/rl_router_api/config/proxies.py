"""Selects the proxy for a server by the environment variables HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""

from __future__ import annotations

import ipaddress
import re
import urllib.request

_ENTRY = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>[^:]*|.*:.*:.*))(?::(?P<port>\d+))?")
"""The pattern of an entry of NO_PROXY. An entry is a domain, an address or a network, with or without a port.

In NO_PROXY, an IPv6 address with a port must have brackets.
"""


def proxy_for(scheme: str, host: str, port: int) -> str | None:
    """Returns the URL of the proxy for a server, or None if connections to the server use no proxy."""
    proxies = {name: value.strip() for name, value in urllib.request.getproxies().items()}
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or any(_matches(entry.strip(), host, port) for entry in proxies.get("no", "").split(",")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _matches(entry: str, host: str, port: int) -> bool:
    """Returns whether an entry of NO_PROXY (a domain, an address, a network or `*`) includes the server `host:port`."""
    if entry in ("", "*"):
        return entry == "*"
    match = _ENTRY.fullmatch(entry)
    if match is None or (match["port"] and int(match["port"]) != port):
        return False
    name = (match["bracketed"] or match["plain"]).lower()
    return _contains_address(name, host) or _is_within(host.lower(), name.removeprefix("*").lstrip("."))


def _is_within(host: str, domain: str) -> bool:
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _contains_address(network: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
