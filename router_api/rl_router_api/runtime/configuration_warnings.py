"""Warns about missing API keys, a server that admits everybody or nobody, and changes that need a restart."""

from __future__ import annotations

import logging
from pathlib import Path

from ..access.admission import Admission
from ..accounting.log import log
from ..config import Server, is_loopback
from ..upstreams.fleet import Fleet

_FIXED_AT_START = ("host", "port", "admin_host", "admin_port", "workers")


def warn_about_keys(fleet: Fleet, admission: Admission) -> None:
    """Warns about each target without its API key, and about a server that other machines can use without a key."""
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
            f"server.api_keys_file is not set: anyone who can reach {host} can use this server without a key. "
            "Set the field to require keys",
        )


def warn_if_closed(server: Server, admission: Admission) -> None:
    """Warns if the server requires keys but has none, so that it rejects every client."""
    if admission.closed:
        log(logging.WARNING, f"{closed_reason(server)}. Add a key to the file")


def closed_reason(server: Server) -> str:
    """Returns the reason why the server has no client keys although it requires them."""
    file = Path(server.api_keys_file or "")
    return (
        f"{file} contains no keys: nobody is admitted"
        if file.exists()
        else f"{file} does not exist: nobody is admitted"
    )


def warn_if_restart_needed(before: Server, after: Server) -> None:
    """Warns about changed fields that take effect only after a restart."""
    changed = [f"server.{name}" for name in _FIXED_AT_START if getattr(after, name) != getattr(before, name)]
    if changed:
        log(logging.WARNING, f"{', '.join(changed)}: the change takes effect after a restart. Restart the server")
