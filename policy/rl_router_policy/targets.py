"""The vectors of the targets. The vector of an unknown target follows from the target's profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .network import Array
from .posterior import posterior
from .profile import Profile


@dataclass(frozen=True)
class Targets:
    """The vectors of the targets that an artefact was trained on, and the rule for unknown targets.

    The shape of `vectors` is (targets, members, 1 + abilities). The shape of `profile` is (members, numbers of a
    profile, 1 + abilities). The attribute `deviation` contains the standard deviation of the vectors around their
    profiles' vectors: (members, 1 + abilities).
    """

    names: tuple[str, ...]
    vectors: Array
    profile: Array
    deviation: Array

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: at for at, name in reversed(tuple(enumerate(self.names)))}

    @cached_property
    def _spellings(self) -> dict[str, str]:
        """The names of the trained targets, by the same names in lower case."""
        return {name.lower(): name for name in reversed(self.names)}

    def known_as(self, name: str, model: str | None) -> str:
        """Returns the name under which a target was trained, or `name` for an unknown target.

        A target is known by the target's own name, or else by the name of the target's model: the whole name or the
        part after the last `/`. Upper and lower case of the model's name need not match. If `model` is None, the
        target's name is the name of the model.
        """
        whole = model or name
        spellings = (name, whole, whole.rpartition("/")[2])
        exact = next((spelling for spelling in spellings if spelling in self._positions), None)
        if exact is not None:
            return exact
        folded = [spelling.lower() for spelling in spellings[1:]]
        return next((self._spellings[spelling] for spelling in folded if spelling in self._spellings), name)

    def of(self, name: str, profile: Profile) -> Array:
        """Returns the vector of a target. An unknown target gets the vector that the target's profile suggests."""
        position = self.position(name)
        return self.vectors[position] if position >= 0 else self.expected(profile)

    def position(self, name: str) -> int:
        """Returns the position of a target among the trained targets, or -1 for an unknown target."""
        return self._positions.get(name, -1)

    def expected(self, profile: Profile) -> Array:
        """Returns the vector that a profile suggests: (members, 1 + abilities)."""
        vector: Array = np.einsum("p,mpa->ma", profile.vector(), self.profile)
        return vector

    def adapted(self, name: str, profile: Profile, items: Array, scores: Sequence[float]) -> Array:
        """Returns the vector of a target after some outcomes: (members, 1 + abilities).

        The vector before the outcomes is the trained vector, or the vector that the profile of an unknown target
        suggests. The shape of `items` is (outcomes, members, 1 + abilities).
        """
        return posterior(self.of(name, profile), self.deviation, items, np.array(scores, np.float64))

    def tensors(self, prefix: str) -> dict[str, Array]:
        """Returns the tensors by the names that an artefact's file uses."""
        return {
            f"{prefix}.vectors": self.vectors,
            f"{prefix}.profile": self.profile,
            f"{prefix}.deviation": self.deviation,
        }


def targets_from(tensors: Mapping[str, Array], names: Sequence[str], prefix: str) -> Targets:
    """Returns the targets whose tensors have names with the prefix `prefix`. Raises KeyError if a tensor is missing."""
    vectors, profile, deviation = [tensors[f"{prefix}.{name}"] for name in ("vectors", "profile", "deviation")]
    return Targets(tuple(names), vectors, profile, deviation)
