"""Builds the sections `router` and `targets` of a router's configuration."""

from __future__ import annotations

from typing import Any

from fakes.upstreams.exchange import Body

IDLE_TIMEOUT = 0.4
"""The idle timeout of targets, and the maximum duration of calls to the router model, in seconds."""
ROUTER_PRICE = {"input": "0.05", "output": "0.1"}
PRICE = {"input": "1.25", "output": "10"}
NAMES = ("alpha", "beta", "gamma", "delta")


def router_section(url: str, **fields: Any) -> Body:
    """Returns the configuration's section `router` for a router model with the base URL `url`."""
    model = {"model": "the-router", "context_length": 8192, "timeout": IDLE_TIMEOUT, "price": ROUTER_PRICE}
    return {"base_url": url, "protocol": "tools", **model, **fields}


def target(name: str, url: str, **fields: Any) -> Body:
    """Returns an entry of the configuration's section `targets` for the target `name` with the base URL `url`."""
    return {"name": name, "base_url": url, "timeout": IDLE_TIMEOUT, "price": PRICE, **fields}
