"""Logs warnings about missing API keys of targets, about a server that admits all clients or no clients, and about
changes that require a restart."""

from __future__ import annotations

import logging
from pathlib import Path

from ..access.admission import Admission
from ..accounting.log import log
from ..config import Server, is_loopback
from ..upstreams.fleet import Fleet

_FIXED_AT_START = ("host", "port", "admin_host", "admin_port", "workers")


def warn_about_keys(fleet: Fleet, admission: Admission) -> None:
    """Logs a warning for each target whose configured API key is missing, and for a server that clients on other
    machines can use without an API key."""
    for target, upstream in fleet.targets:
        if missing := upstream.key.missing:
            log(
                logging.WARNING,
                f"target `{target.name}` is not used: {missing}. Set the target's API key",
                target=target.name,
            )
    host = fleet.configuration.server.host
    if admission.open and not is_loopback(host):
        log(
            logging.WARNING,
            f"server.api_keys_file is not set, and the server listens on {host}: anyone who can reach the server can "
            "use it without an API key. Set server.api_keys_file to require API keys",
        )


def warn_if_closed(server: Server, admission: Admission) -> None:
    """Logs a warning if the server requires API keys but has loaded no keys, and therefore rejects every client."""
    if admission.closed:
        remedy = "Run `rl-router new-key NAME`, and add the printed entry to the keys file"
        log(logging.WARNING, f"{closed_reason(server)}. {remedy}")


def closed_reason(server: Server) -> str:
    """Returns the reason why the server has loaded no API keys of clients, although the server requires API keys."""
    file = Path(server.api_keys_file or "")
    return (
        f"{file} contains no keys: nobody is admitted"
        if file.exists()
        else f"{file} does not exist: nobody is admitted"
    )


def warn_if_restart_needed(before: Server, after: Server) -> None:
    """Logs a warning about changed fields of the section `server` that take effect only after a restart of the
    server."""
    changed = [f"server.{name}" for name in _FIXED_AT_START if getattr(after, name) != getattr(before, name)]
    if changed:
        log(logging.WARNING, f"{', '.join(changed)}: the change takes effect after a restart. Restart the server")
