"""Detects whether this machine has the IPv6 loopback address, which some tests require."""

from __future__ import annotations

import socket

import pytest


def _has_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


requires_ipv6 = pytest.mark.skipif(not _has_loopback(), reason="this machine has no IPv6 loopback address ::1")
"""A pytest mark that skips a test on machines without the IPv6 loopback address."""
