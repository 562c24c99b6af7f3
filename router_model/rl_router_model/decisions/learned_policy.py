"""The learned policy of the server: the newest artefact, and the names of the targets that tools call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rl_router_policy import catalogue
from rl_router_policy.artefact import Artefact
from rl_router_policy.artefacts import Artefacts
from rl_router_policy.decide import decide
from rl_router_policy.folder import named
from rl_router_policy.situation import Choice, Situation

from rl_router_model.problem import ExitCode, StartError

from .offer import PREFIX

_MAX_NAME = 64


@dataclass(frozen=True)
class LearnedPolicy:
    """A policy in memory.

    The attribute `targets` contains the names of the targets that the policy was trained on, by the name of the tool
    that calls the target. The function `say` writes one line about an error.
    """

    artefact: Artefact
    targets: Mapping[str, str]
    say: Callable[[str], None]

    def decide(self, situation: Situation) -> Choice:
        """Returns the policy's choice. If the policy fails, the choice contains only its artefact and the reason."""
        try:
            return decide(self.artefact, situation, catalogue.profile_of_name)
        except Exception as error:  # noqa: BLE001 (an error in the policy must not fail a request)
            reason = f"the policy failed: {type(error).__name__}: {error}"
            self.say(reason)
            return Choice(self.artefact.hash, reason)

    def target_of(self, name: str) -> str:
        """Returns the name of the target that a tool calls.

        If the policy was not trained on the target, the target's name is the tool's name without the prefix `call_`.
        A name without this prefix is the name of a target, and is returned unchanged.
        """
        return self.targets.get(name) or name.removeprefix(PREFIX)

    def knows(self, name: str) -> bool:
        """Returns whether the artefact or the catalogue knows a target with this name or with this tool."""
        target, known = self.target_of(name), self.artefact.targets
        is_trained = known.position(known.known_as(target, None)) >= 0
        return is_trained or catalogue.profile_of_name(target) is not None


class NewestPolicy:
    """The newest policy in a folder.

    The folder is an artefact, or contains artefacts, of which the newest readable one is used. The name `bundled`
    stands for the bundled policy. The function `say` writes one line about a new artefact or an error. Raises
    StartError if the folder contains no artefact that can be read.
    """

    def __init__(self, folder: str, say: Callable[[str], None]) -> None:
        self._say = say
        self._artefacts = Artefacts(named(folder), "--artefact")
        if self._artefacts.current is None:
            remedy = "or use --decide language-model"
            raise StartError(ExitCode.COMMAND_LINE, f"{self._artefacts.refused}, {remedy}")
        self.current = _policy(self._artefacts.current, say)
        if self._artefacts.refused is not None:
            say(self._artefacts.refused)

    async def refresh(self) -> None:
        """Tries to read the newest artefact if it has changed since the last attempt."""
        changed, artefact = await self._artefacts.refresh(), self._artefacts.current
        if artefact is not None and artefact is not self.current.artefact:
            self.current = _policy(artefact, self._say)
        if changed:
            self._say(self._artefacts.refused or f"the policy uses the newest artefact: {self.current.artefact.hash}")


def _policy(artefact: Artefact, say: Callable[[str], None]) -> LearnedPolicy:
    return LearnedPolicy(artefact, {_tool_name(name): name for name in artefact.targets.names}, say)


def _tool_name(target: str) -> str:
    """Returns the name of the tool by which the router API offers a target."""
    return (PREFIX + re.sub(r"[^A-Za-z0-9_]", "_", target))[:_MAX_NAME]
