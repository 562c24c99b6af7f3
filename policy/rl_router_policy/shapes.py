"""Checks the tensors of an artefact, so that a damaged artefact fails when it is loaded, not at a decision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .features import CONTEXT_NAMES, TEXT_NAMES
from .inputs import key_length
from .profile import NAMES as PROFILE

Tensors = Mapping[str, np.ndarray]
_Shapes = dict[str, tuple[int, ...]]
_FEATURES = len(TEXT_NAMES) + len(CONTEXT_NAMES)


def check_policy(tensors: Tensors, targets: int, dimensions: int) -> None:
    """Checks the tensors of the file `policy.safetensors`.

    The argument `targets` is the number of targets, and `dimensions` is the number of dimensions of the embedding.
    Raises ValueError if the shape of a tensor is wrong, or if a number is not finite. Raises KeyError if a tensor is
    missing.
    """
    shapes: _Shapes = {
        "scaler.centre": (dimensions,),
        "scaler.spread": (),
        "scaler.means": (_FEATURES,),
        "scaler.deviations": (_FEATURES,),
        "lengths.weights": (_FEATURES + 1,),
        "lengths.factors": (targets,),
        "lengths.slopes": (targets,),
        "lengths.usual": (),
        "mean_qualities": (targets,),
        **_shapes_of_head(tensors, "outcomes", targets, dimensions),
        **(_shapes_of_head(tensors, "gradient", targets, dimensions) if "gradient.hidden" in tensors else {}),
    }
    _check(tensors, {**shapes, "mean_items": shapes["outcomes.deviation"]})


def check_memory(tensors: Tensors, targets: int, dimensions: int) -> None:
    """Checks the tensors of `memory.safetensors`. Raises like `check_policy`, or ValueError if scores are not uint8."""
    prompts = len(tensors["keys"])
    _check(tensors, {"keys": (prompts, key_length(dimensions, _FEATURES)), "scores": (prompts, targets)})
    if tensors["scores"].dtype != np.uint8:
        raise ValueError(f"scores has the type {tensors['scores'].dtype}, not uint8")


def _shapes_of_head(tensors: Tensors, head: str, targets: int, dimensions: int) -> _Shapes:
    """Returns the required shapes of the tensors of a network and of its targets, by the names of the tensors."""
    members, hidden, abilities = [*tensors[f"{head}.item"].shape, 0, 0, 0][:3]
    vector = (members, 1 + abilities)
    return {
        f"{head}.item": (members, hidden, abilities),
        f"{head}.hidden": (members, dimensions + _FEATURES, hidden),
        f"{head}.bias": (members, hidden),
        f"{head}.vectors": (targets, *vector),
        f"{head}.profile": (members, len(PROFILE), 1 + abilities),
        f"{head}.deviation": vector,
    }


def _check(tensors: Tensors, shapes: _Shapes) -> None:
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tensor.shape != shape:
            raise ValueError(f"{name} has the shape {tensor.shape}, not {shape}")
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} contains a number that is not finite")
