"""Loads the learned policy, and knows the names of the targets that the policy was trained on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rl_router_policy import catalogue, embedding
from rl_router_policy.artefact import Artefact, load_artefact
from rl_router_policy.decide import decide
from rl_router_policy.errors import ArtefactError
from rl_router_policy.folder import named, newest_first
from rl_router_policy.situation import Choice, Situation

from rl_router_model.problem import ExitCode, StartError

from .offer import PREFIX

_MAX_NAME = 64


@dataclass(frozen=True)
class LearnedPolicy:
    """A policy in memory. The keys of `targets` are the names of tools, and the values are the names of targets."""

    artefact: Artefact
    targets: Mapping[str, str]

    def decide(self, situation: Situation) -> Choice:
        """Returns the policy's choice."""
        return decide(self.artefact, situation, catalogue.profile_of_name)

    def target_of(self, name: str) -> str:
        """Returns the name of the target that a tool calls, or the name itself if it is not the name of a tool."""
        return self.targets.get(name) or name.removeprefix(PREFIX)

    def knows(self, name: str) -> bool:
        """Returns whether the artefact or the catalogue describes a target with this name or with this tool."""
        target, known = self.target_of(name), self.artefact.targets
        is_trained = known.position(known.known_as(target, None)) >= 0
        return is_trained or catalogue.profile_of_name(target) is not None


def load(folder: str) -> LearnedPolicy:
    """Returns the policy in a folder, or the bundled policy if `folder` is `bundled`. Raises StartError.

    The folder is an artefact, or contains artefacts, of which the newest counts.
    """
    path = named(folder)
    newest = next(iter(newest_first(path)), None)
    if newest is None:
        message = f"--artefact: {path} contains no artefact. Name a folder that contains one"
        raise StartError(ExitCode.COMMAND_LINE, f"{message}, or use --decide language-model")
    try:
        artefact = load_artefact(newest[0], embedding.load(embedding.BUNDLED))
    except ArtefactError as error:
        raise StartError(ExitCode.COMMAND_LINE, f"--artefact: {error}") from None
    return LearnedPolicy(artefact, {_tool_name(name): name for name in artefact.targets.names})


def _tool_name(target: str) -> str:
    """Returns the name of the tool by which the router API offers a target."""
    return (PREFIX + re.sub(r"[^A-Za-z0-9_]", "_", target))[:_MAX_NAME]
