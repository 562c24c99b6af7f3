"""An artefact whose predictions depend on the prompt, made without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rl_router_policy.artefact import save_artefact
from rl_router_policy.features import CONTEXT_NAMES, TEXT_NAMES
from rl_router_policy.profile import NAMES as PROFILE

from .artefacts import EMBEDDING, TOKENS

_FEATURES = len(TEXT_NAMES) + len(CONTEXT_NAMES)
_HIDDEN, _ITEM, _PROMPTS, _KEY = 4, 3, 60, 82


def write_varied_artefact(folder: Path, names: Sequence[str], seed: int = 0) -> Path:
    """Writes an artefact with all parts, in which most numbers are random. Returns the folder."""
    random = np.random.default_rng(seed)
    policy = {
        "scaler.centre": np.zeros(EMBEDDING.dimensions, np.float32),
        "scaler.spread": np.array(1, np.float32),
        "scaler.means": np.zeros(_FEATURES, np.float32),
        "scaler.deviations": np.ones(_FEATURES, np.float32),
        **_head(random, "outcomes", len(names)),
        **_head(random, "gradient", len(names)),
        "lengths.weights": np.array([*random.normal(0, 0.05, _FEATURES), np.log(TOKENS)], np.float32),
        "lengths.factors": random.uniform(0.5, 2, len(names)).astype(np.float32),
        "lengths.slopes": np.ones(len(names), np.float32),
        "lengths.usual": np.array(1, np.float32),
        "mean_qualities": random.uniform(0.3, 0.9, len(names)).astype(np.float32),
        "mean_items": _numbers(random, 4, _ITEM),
    }
    memory: dict[str, np.ndarray] = {
        "keys": _numbers(random, _PROMPTS, _KEY).astype(np.float16),
        "scores": random.choice(np.array([0, 200, 255], np.uint8), (_PROMPTS, len(names))),
    }
    manifest = {
        "embedding": EMBEDDING.hash,
        "targets": [{"name": name, "prompts": _PROMPTS} for name in names],
        "neighbours": {"count": 10, "weight": 0.3},
        "trained_on": [],
    }
    save_artefact(folder, manifest, policy, memory)
    return folder


def _head(random: np.random.Generator, name: str, targets: int) -> dict[str, np.ndarray]:
    return {
        f"{name}.hidden": _numbers(random, 1, EMBEDDING.dimensions + _FEATURES, _HIDDEN),
        f"{name}.bias": _numbers(random, 1, _HIDDEN),
        f"{name}.item": _numbers(random, 1, _HIDDEN, _ITEM - 1),
        f"{name}.vectors": _numbers(random, targets, 1, _ITEM),
        f"{name}.profile": _numbers(random, 1, len(PROFILE), _ITEM) / 4,
        f"{name}.deviation": np.ones((1, _ITEM), np.float32),
    }


def _numbers(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.normal(0, 1, shape).astype(np.float32)
