"""The folder of artefacts that a configuration names. This module does not import the libraries of the policy."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from rl_router_policy import folder
from rl_router_policy.errors import ArtefactError

from ..config import Routing

if TYPE_CHECKING:
    from rl_router_policy.claims import Claims

_LOG = logging.getLogger("rl_router")


def folder_of(routing: Routing) -> Path:
    """Returns the folder of artefacts that the field `routing.artefacts` names."""
    return folder.named(routing.artefacts)


def has_artefact(routing: Routing) -> bool:
    """Returns whether the folder of artefacts contains an artefact."""
    return bool(folder.newest_first(folder_of(routing)))


def claims_in(artefacts: Path, artefact: str) -> Claims | None:
    """Returns the claims of the artefact with a hash in a folder of artefacts.

    Returns None if the folder does not contain the artefact, or if the claims cannot be read.
    """
    # The module imports numpy, which only the policy needs.
    from rl_router_policy.claims import read_claims

    try:
        for found, _ in folder.newest_first(artefacts):
            if hashlib.sha256((found / folder.MANIFEST).read_bytes()).hexdigest() == artefact:
                return read_claims(found, artefact)
    except (OSError, ArtefactError) as error:
        _LOG.error("routing.artefacts: %s", error)
    return None
