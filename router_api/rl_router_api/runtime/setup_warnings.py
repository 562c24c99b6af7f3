"""Warnings about a configuration that is in force: what is missing, what is open, what waits for a restart."""

from __future__ import annotations

import logging
from pathlib import Path

from ..access.admission import Admission
from ..accounting.log import log
from ..config import Server
from ..upstreams.fleet import Fleet

_LOCAL = ("127.0.0.1", "localhost", "::1")
_FIXED_AT_START = ("host", "port", "admin_port", "workers")


def warn_of_setup(fleet: Fleet, admission: Admission) -> None:
    """Warns of each target without its key, and if other machines may use the server without a key."""
    for target, upstream in fleet.targets:
        if missing := upstream.key.missing:
            log(logging.WARNING, f"target `{target.name}` is left out: {missing}", target=target.name)
    host = fleet.configuration.server.host
    if admission.open and host not in _LOCAL:
        log(logging.WARNING, f"anybody who can reach {host} may use this server; set server.api_keys_file")


def warn_of_closed_server(server: Server, admission: Admission) -> None:
    """Warns if the server admits nobody."""
    if admission.closed:
        log(logging.WARNING, why_closed(server))


def why_closed(server: Server) -> str:
    """Returns why a server that asks for keys knows none."""
    file = Path(server.api_keys_file or "")
    return f"{file} holds no keys: nobody gets in" if file.exists() else f"{file} is not there: nobody gets in"


def warn_of_restart(before: Server, after: Server) -> None:
    """Warns of changed fields that take effect at the next start only."""
    late = [f"server.{name}" for name in _FIXED_AT_START if getattr(after, name) != getattr(before, name)]
    if late:
        log(logging.WARNING, f"{', '.join(late)}: the change takes effect at the next start")
