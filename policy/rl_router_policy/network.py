"""The item network describes a prompt as an item of a test, by the abilities that the item needs.

Each target has a vector, too. The probability that a target's answer is good is the logistic function of the scalar
product of the two vectors (https://en.wikipedia.org/wiki/Item_response_theory). A network has several members that
were trained with different random numbers. The members' probabilities are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """The weights of the members of an item network.

    The shape of `hidden` is (members, inputs, hidden units), the shape of `bias` is (members, hidden units), and the
    shape of `item` is (members, hidden units, abilities).
    """

    hidden: Array
    bias: Array
    item: Array

    def items(self, inputs: Array) -> Array:
        """Returns the vectors of a prompt: (members, 1 + abilities). The first number of each vector is 1."""
        hidden = _gelu(np.einsum("i,mih->mh", inputs, self.hidden, optimize=False) + self.bias)
        abilities = np.einsum("mh,mha->ma", hidden, self.item, optimize=False)
        return np.concatenate([np.ones((len(abilities), 1), np.float32), abilities], axis=1)

    def tensors(self, prefix: str) -> dict[str, Array]:
        """Returns the weights by the names that an artefact's file uses."""
        return {f"{prefix}.hidden": self.hidden, f"{prefix}.bias": self.bias, f"{prefix}.item": self.item}


def network_from(tensors: Mapping[str, Array], prefix: str) -> Network:
    """Returns the network whose weights have names with the prefix `prefix`. Raises KeyError if a tensor is missing."""
    return Network(tensors[f"{prefix}.hidden"], tensors[f"{prefix}.bias"], tensors[f"{prefix}.item"])


def probabilities(items: Array, targets: Array) -> Array:
    """Returns the probability of a good answer for each target.

    The shape of `items` is (members, 1 + abilities), and the shape of `targets` is (targets, members, 1 + abilities).
    """
    logits = np.einsum("ma,tma->tm", items, targets, optimize=False)
    chances: Array = (1 / (1 + np.exp(-logits))).mean(axis=1)
    return chances


def _gelu(x: Array) -> Array:
    """Returns the approximation of the Gaussian error linear unit that JAX uses (Hendrycks and Gimpel, 2016)."""
    inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x)
    gelu: Array = np.float32(0.5) * x * (1 + np.tanh(inner))
    return gelu
