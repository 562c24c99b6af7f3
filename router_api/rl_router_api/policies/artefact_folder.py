"""The folder of artefacts that a configuration names. This module does not import the libraries of the policy."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
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


def claims_in(versions: Sequence[folder.Version], artefact: str) -> Claims | None:
    """Returns the claims of the newest artefact among `versions` that has the hash `artefact`.

    Returns None if no artefact has the hash, or if the claims are missing or cannot be read.
    """
    # The module imports numpy, which only the policy needs.
    from rl_router_policy.claims import read_claims

    try:
        for found, _ in versions:
            manifest = (found / folder.MANIFEST).read_bytes()
            if hashlib.sha256(manifest).hexdigest() == artefact:
                return read_claims(found, artefact, json.loads(manifest)["trained_on"])
    except (OSError, ArtefactError) as error:
        _LOG.error("routing.artefacts: %s", error)
    return None
