"""Writes a trained predictor as an artefact."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rl_router_policy.artefact import Artefact, save_artefact
from rl_router_policy.predictor import Predictor
from rl_router_policy.verifier import Verifier

from ..models import Models
from ..table import Table
from .fit import Fitted

_LIBRARIES = ("numpy", "jax", "jaxlib", "optax", "safetensors")


@dataclass(frozen=True)
class Provenance:
    """The origin of an artefact, for the artefact's manifest.

    The attribute `licences` contains the known licences of the files, by the name of the file.
    The attribute `base` is the artefact that was adapted, if any.
    """

    seed: int
    files: Sequence[Path]
    left_out: Sequence[str] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    base: Artefact | None = None

    def trained_on(self, table: Table) -> list[str]:
        """Returns the short keys of the prompts that the artefact or its base was trained on."""
        earlier = self.base.manifest["trained_on"] if self.base else []
        return sorted({*earlier, *[prompt.short_key for prompt in table.prompts]})


@dataclass(frozen=True)
class KeptVerifier:
    """A verifier for an artefact, and what the manifest says about the verifier's training."""

    verifier: Verifier
    about: Mapping[str, Any]


def write_artefact(
    folder: Path,
    fitted: Fitted,
    table: Table,
    models: Models,
    provenance: Provenance,
    kept: KeptVerifier | None = None,
) -> None:
    """Writes an artefact into a new or empty folder. Raises OSError if this fails, or if a table cannot be read."""
    predictor = fitted.predictor
    manifest = {
        "seed": provenance.seed,
        **({"base": provenance.base.hash} if provenance.base else {}),
        "made_with": {name: version(name) for name in _LIBRARIES},
        "tables": [_source(file, table, provenance.licences) for file in provenance.files],
        "left_out": list(provenance.left_out),
        "embedding": predictor.embedding.hash,
        "preference": "gradient" if predictor.gradient else "outcomes",
        "neighbours": {"count": predictor.memory.count, "weight": predictor.memory.weight},
        "mean_utility": fitted.stages,
        "mean_utility_interval": fitted.interval,
        "targets": [_target(table, models, at) for at in range(len(table.models))],
        **({"verifier": kept.about} if kept else {}),
        "trained_on": provenance.trained_on(table),
    }
    memory: dict[str, np.ndarray] = {
        "keys": predictor.memory.keys.astype(np.float16),
        "scores": predictor.memory.scores,
    }
    policy = {**_tensors(predictor), **_means(fitted)}
    save_artefact(folder, manifest, policy, memory, kept.verifier if kept else None)


def _tensors(predictor: Predictor) -> dict[str, np.ndarray]:
    heads = {"outcomes": predictor.outcomes, "gradient": predictor.gradient}
    tensors = {**predictor.scaler.tensors(), **predictor.lengths.tensors()}
    for name, head in heads.items():
        if head is not None:
            tensors |= head.network.tensors(name) | head.targets.tensors(name)
    return tensors


def _means(fitted: Fitted) -> dict[str, np.ndarray]:
    return {"mean_qualities": fitted.mean_qualities, "mean_items": fitted.mean_items}


def _source(file: Path, table: Table, licences: Mapping[str, str]) -> dict[str, Any]:
    rows = sum(prompt.table == str(file) for prompt in table.prompts)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"file": file.name, "sha256": digest, "prompts": rows, "licence": licences.get(file.name)}


def _target(table: Table, models: Models, at: int) -> Mapping[str, Any]:
    profile, scores = models[table.models[at]].profile, table.scores[:, at]
    return {
        "name": table.models[at],
        "prompts": int((~np.isnan(scores)).sum()),
        "mean_score": round(float(np.nanmean(scores)), 4),
        "profile": {
            "input_price": profile.input_price,
            "output_price": profile.output_price,
            "parameters": profile.parameters,
            "benchmarks": dict(profile.benchmarks),
        },
    }
