"""An artefact whose predictions depend on the prompt, made without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rl_router_policy.profile import NAMES as PROFILE

from .artefacts import EMBEDDING, FEATURES, HIDDEN, ITEM, KEY, TOKENS, save

_PROMPTS = 60


def write_varied_artefact(
    folder: Path, names: Sequence[str], seed: int = 0, *, tensors: Mapping[str, np.ndarray] | None = None
) -> Path:
    """Writes an artefact with the networks of both stages, in which most numbers are random. Returns the folder.

    The argument `tensors` replaces tensors of the file `policy.safetensors`.
    """
    random = np.random.default_rng(seed)
    policy = {
        **_head(random, "outcomes", len(names)),
        **_head(random, "gradient", len(names)),
        "lengths.weights": np.array([*random.normal(0, 0.05, FEATURES), np.log(TOKENS)], np.float32),
        "lengths.factors": random.uniform(0.5, 2, len(names)).astype(np.float32),
        "mean_qualities": random.uniform(0.3, 0.9, len(names)).astype(np.float32),
        "mean_items": _numbers(random, 1, ITEM),
        **(tensors or {}),
    }
    memory: dict[str, np.ndarray] = {
        "keys": _numbers(random, _PROMPTS, KEY).astype(np.float16),
        "scores": random.choice(np.array([0, 200, 255], np.uint8), (_PROMPTS, len(names))),
    }
    return save(folder, names, policy, memory, prompts=_PROMPTS, neighbours={"count": 10, "weight": 0.3})


def _head(random: np.random.Generator, name: str, targets: int) -> dict[str, np.ndarray]:
    return {
        f"{name}.hidden": _numbers(random, 1, EMBEDDING.dimensions + FEATURES, HIDDEN),
        f"{name}.bias": _numbers(random, 1, HIDDEN),
        f"{name}.item": _numbers(random, 1, HIDDEN, ITEM - 1),
        f"{name}.vectors": _numbers(random, targets, 1, ITEM),
        f"{name}.profile": _numbers(random, 1, len(PROFILE), ITEM) / 4,
        f"{name}.deviation": np.ones((1, ITEM), np.float32),
    }


def _numbers(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.normal(0, 1, shape).astype(np.float32)
