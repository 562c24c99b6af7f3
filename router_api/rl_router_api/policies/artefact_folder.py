"""The folder of artefacts that a configuration names. This module does not import the libraries of the policy."""

from __future__ import annotations

from pathlib import Path

from rl_router_policy import folder

from ..config import Routing


def folder_of(routing: Routing) -> Path:
    """Returns the folder of artefacts that the field `routing.artefacts` names."""
    return folder.named(routing.artefacts)


def has_artefact(routing: Routing) -> bool:
    """Returns whether the folder of artefacts contains an artefact."""
    return bool(folder.newest_first(folder_of(routing)))
