"""An artefact: a folder with everything that a trained policy needs, except the word embedding.

The file `manifest.json` names the other files with their hashes. The folder contains no pickled objects.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from .claims import Claims, read_claims
from .embedding import Embedding
from .errors import ArtefactError
from .folder import MANIFEST
from .inputs import scaler_from
from .lengths import lengths_from
from .memory import Memory
from .network import Array, network_from, probabilities
from .predictor import Head, Prediction, Predictor
from .profile import Profile
from .shapes import check_memory, check_policy
from .targets import Targets, targets_from
from .verifier import FORMAT as VERIFIER_FORMAT
from .verifier import Verifier, verifier_from

FORMAT = 1
POLICY, MEMORY, VERIFIER = "policy.safetensors", "memory.safetensors", "verifier.safetensors"


@dataclass(frozen=True)
class Artefact:
    """An artefact in memory.

    The attribute `hash` is the SHA-256 of the manifest, which contains the hashes of the other files. The attribute
    `mean_qualities` contains the mean predicted quality of each trained target over all training prompts. The attribute
    `mean_items` contains the mean vector of these prompts in each member of the network `outcomes`. The attribute
    `verifier` is None if the artefact has no verifier. The attribute `claims` contains what the guard found,
    or is None if the guard has not tested the artefact.
    """

    hash: str
    manifest: Mapping[str, Any]
    predictor: Predictor
    mean_qualities: Array
    mean_items: Array
    verifier: Verifier | None = None
    claims: Claims | None = None

    @property
    def targets(self) -> Targets:
        return self.predictor.outcomes.targets

    def mean(self, name: str, profile: Profile) -> Prediction:
        """Returns an estimate of the mean prediction for a target over the training prompts."""
        position = self.targets.position(name)
        if position >= 0:
            quality = float(self.mean_qualities[position])
        else:
            quality = float(probabilities(self.mean_items, self.targets.expected(profile)[None])[0])
        lengths = self.predictor.lengths
        features = np.zeros(len(lengths.weights) - 1, np.float32)
        tokens = float(lengths.output_tokens(features, np.array([position]))[0])
        return Prediction(quality, quality, tokens)


def load_artefact(folder: Path, embedding: Embedding) -> Artefact:
    """Returns the artefact in a folder.

    Raises ArtefactError if a file cannot be read or is damaged, or if the artefact has another format or embedding.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = json.loads(content)
        _check(folder, manifest, embedding)
        policy, memory = [load(_checked(folder, manifest, name)) for name in (POLICY, MEMORY)]
        artefact = _artefact(hashlib.sha256(content).hexdigest(), manifest, policy, memory, embedding)
        claims = read_claims(folder, artefact.hash, manifest["trained_on"])
        return replace(artefact, verifier=_verifier(folder, manifest), claims=claims)
    except OSError as error:
        raise ArtefactError(
            f"{folder}: the artefact cannot be read: {error}. Make the files readable, or copy the whole folder again"
        ) from None
    except KeyError as error:
        raise ArtefactError(f"{folder}: the artefact has no {error}. Train the artefact again") from None
    except (TypeError, ValueError, AttributeError, RecursionError, SafetensorError) as error:
        raise ArtefactError(f"{folder}: the artefact is damaged: {error}. Copy the whole folder again") from None


def save_artefact(
    folder: Path,
    manifest: Mapping[str, Any],
    policy: Mapping[str, Array],
    memory: Mapping[str, np.ndarray],
    verifier: Verifier | None = None,
) -> None:
    """Writes an artefact into a new or empty folder. The files appear there only when all of them are complete.

    Raises OSError if the folder contains files or cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    partial.chmod(0o755)
    files = {POLICY: save(dict(policy)), MEMORY: save(dict(memory))}
    if verifier is not None:
        files[VERIFIER] = save(verifier.tensors())
        manifest = {**manifest, "verifier": {"format": VERIFIER_FORMAT, **manifest.get("verifier", {})}}
    for name, content in files.items():
        (partial / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    text = json.dumps({"format": FORMAT, **manifest, "files": hashes}, indent=1, ensure_ascii=False)
    (partial / MANIFEST).write_text(text + "\n")
    partial.rename(folder)


def _check(folder: Path, manifest: object, embedding: Embedding) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise ArtefactError(f"{folder}: the artefact has the format {found}, not {FORMAT}. Train the artefact again")
    if manifest.get("embedding") != embedding.hash:
        raise ArtefactError(f"{folder}: the artefact was trained with another word embedding. Train the artefact again")


def _verifier(folder: Path, manifest: Mapping[str, Any]) -> Verifier | None:
    if VERIFIER not in manifest["files"]:
        return None
    found = manifest["verifier"]["format"]
    if found != VERIFIER_FORMAT:
        expected = f"the format {found}, not {VERIFIER_FORMAT}"
        raise ArtefactError(f"{folder}: the verifier of the artefact has {expected}. Train the artefact again")
    return verifier_from(load(_checked(folder, manifest, VERIFIER)))


def _checked(folder: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    content = (folder / name).read_bytes()
    actual, expected = hashlib.sha256(content).hexdigest(), manifest["files"][name]
    if actual != expected:
        raise ArtefactError(f"{folder / name}: the SHA-256 is {actual}, not {expected}. Copy the whole folder again")
    return content


def _artefact(
    digest: str,
    manifest: Mapping[str, Any],
    policy: Mapping[str, Array],
    memory: Mapping[str, np.ndarray],
    embedding: Embedding,
) -> Artefact:
    names = _names(manifest)
    check_policy(policy, len(names), embedding.dimensions)
    check_memory(memory, len(names), embedding.dimensions)
    targets = targets_from(policy, names, "outcomes")
    gradient = "gradient.hidden" in policy
    predictor = Predictor(
        embedding=embedding,
        scaler=scaler_from(policy),
        outcomes=Head(network_from(policy, "outcomes"), targets),
        gradient=Head(network_from(policy, "gradient"), targets_from(policy, names, "gradient")) if gradient else None,
        lengths=lengths_from(policy),
        memory=Memory(memory["keys"].astype(np.float32), memory["scores"], *_neighbours(manifest)),
    )
    return Artefact(digest, manifest, predictor, policy["mean_qualities"], policy["mean_items"])


def _names(manifest: Mapping[str, Any]) -> list[str]:
    """Returns the names of the targets. Raises ValueError if a name is not a text, or if two names are equal."""
    names = [target["name"] for target in manifest["targets"]]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError("the names of the targets must be different texts")
    return names


def _neighbours(manifest: Mapping[str, Any]) -> tuple[int, float]:
    """Returns the number of neighbours and their weight. Raises ValueError if a number is not valid."""
    count, weight = manifest["neighbours"]["count"], manifest["neighbours"]["weight"]
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"the number of neighbours is {count!r}, not an integer above 0")
    if not 0 <= weight <= 1:
        raise ValueError(f"the weight of the neighbours is {weight!r}, not a number from 0 to 1")
    return count, weight
