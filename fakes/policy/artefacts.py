"""Artefacts whose predictions are known, made without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rl_router_policy import embedding
from rl_router_policy.artefact import Artefact, load_artefact, save_artefact
from rl_router_policy.features import CONTEXT_NAMES, TEXT_NAMES
from rl_router_policy.profile import NAMES as PROFILE
from rl_router_policy.verifier import Verifier

EMBEDDING = embedding.load(embedding.BUNDLED)
TOKENS = 100.0
"""The number of output tokens that the artefacts expect of each answer."""
FEATURES = len(TEXT_NAMES) + len(CONTEXT_NAMES)
HIDDEN, ITEM, KEY = 4, 3, 82
"""The sizes of the hidden layer, of a target's vector and of a prompt's key in the memory."""


def write_artefact(
    folder: Path,
    qualities: Mapping[str, float],
    *,
    digits: Mapping[str, float] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
    verifier: Verifier | None = None,
    **manifest: Any,
) -> Path:
    """Writes an artefact that predicts the quality in `qualities` for each target. Returns the folder.

    The quality of a target does not depend on the prompt, unless `digits` names the target: then the logit of the
    quality changes with the share of digits in the prompt. The change is 0.84 times the number in `digits` if a fifth
    of the characters are digits. An unknown target has the quality 0.5. The argument `tensors` replaces tensors of the
    file `policy.safetensors`, and the argument `manifest` replaces fields of the manifest.
    """
    names = list(qualities)
    chances = np.array([qualities[name] for name in names], np.float32)
    policy = {
        **_outcomes(chances, [(digits or {}).get(name, 0) for name in names]),
        "lengths.weights": np.array([0] * FEATURES + [np.log(TOKENS)], np.float32),
        "lengths.factors": np.ones(len(names), np.float32),
        "mean_qualities": chances,
        "mean_items": np.array([[1, 0, 0]], np.float32),
        **(tensors or {}),
    }
    memory: dict[str, np.ndarray] = {
        "keys": np.zeros((0, KEY), np.float16),
        "scores": np.zeros((0, len(names)), np.uint8),
    }
    neighbours = {"count": 40, "weight": 0.0}
    return save(folder, names, policy, memory, prompts=10, verifier=verifier, neighbours=neighbours, **manifest)


def save(
    folder: Path,
    names: Sequence[str],
    policy: Mapping[str, np.ndarray],
    memory: Mapping[str, np.ndarray],
    *,
    prompts: int,
    verifier: Verifier | None = None,
    **manifest: Any,
) -> Path:
    """Writes an artefact for the targets in `names`. Returns the folder.

    The features of a prompt are not scaled, and the lengths of the answers have the slope 1, unless the argument
    `policy` says otherwise. The argument `prompts` is the number of training prompts of each target.
    """
    usual = {
        "scaler.centre": np.zeros(EMBEDDING.dimensions, np.float32),
        "scaler.spread": np.array(1, np.float32),
        "scaler.means": np.zeros(FEATURES, np.float32),
        "scaler.deviations": np.ones(FEATURES, np.float32),
        "lengths.slopes": np.ones(len(names), np.float32),
        "lengths.usual": np.array(1, np.float32),
    }
    targets = [{"name": name, "prompts": prompts} for name in names]
    fields = {"embedding": EMBEDDING.hash, "targets": targets, "trained_on": [], **manifest}
    save_artefact(folder, fields, {**usual, **policy}, memory, verifier)
    return folder


def overflowing(targets: int) -> dict[str, np.ndarray]:
    """Returns tensors for `targets` targets with which a prediction is not a number if the prompt contains digits."""
    hidden, item, vectors = _hidden(), np.zeros((1, HIDDEN, ITEM - 1), np.float32), np.zeros((targets, 1, ITEM))
    hidden *= np.float32(3e38)
    item[0, 0] = 10
    vectors[:, 0, 1:] = 1, -1
    return {"outcomes.hidden": hidden, "outcomes.item": item, "outcomes.vectors": vectors.astype(np.float32)}


def artefact(folder: Path, qualities: Mapping[str, float]) -> Artefact:
    """Writes and loads an artefact that predicts the quality in `qualities` for each target."""
    return load_artefact(write_artefact(folder, qualities), EMBEDDING)


def _outcomes(chances: np.ndarray, digits: Sequence[float]) -> dict[str, np.ndarray]:
    """Returns the network of the first stage, which predicts `chances` for prompts without digits."""
    vectors = np.zeros((len(chances), 1, ITEM), np.float32)
    vectors[:, 0, 0] = np.log(chances / (1 - chances))
    vectors[:, 0, 1] = digits
    return {
        "outcomes.hidden": _hidden(),
        "outcomes.bias": np.zeros((1, HIDDEN), np.float32),
        "outcomes.item": np.eye(HIDDEN, ITEM - 1, dtype=np.float32)[None],
        "outcomes.vectors": vectors,
        "outcomes.profile": np.zeros((1, len(PROFILE), ITEM), np.float32),
        "outcomes.deviation": np.ones((1, ITEM), np.float32),
    }


def _hidden() -> np.ndarray:
    """Returns the weights of a hidden layer whose first unit depends only on the share of digits in the prompt."""
    weights = np.zeros((1, EMBEDDING.dimensions + FEATURES, HIDDEN), np.float32)
    weights[0, EMBEDDING.dimensions + TEXT_NAMES.index("digits"), 0] = 1
    return weights
