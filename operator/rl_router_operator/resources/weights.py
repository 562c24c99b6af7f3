"""Parses the source of the router model's weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_HUB = re.compile(r"hf://(?P<repository>[^/]+/[^/@]+)(?:@(?P<revision>.+?))?(?:/(?P<file>.+\.gguf))?")
_GGUF_SUFFIX = re.compile(r"(-00001-of-\d{5})?\.gguf$")
CLAIM_FOLDER = "/var/lib/rl-router/model"
"""The path in the model container at which a user's PersistentVolumeClaim with weights is mounted."""


@dataclass(frozen=True)
class Weights:
    """The parsed source of the router model's weights.

    The attribute `model` is the location of the weights: a repository or a GGUF file on the Hugging Face hub, or a path
    in the container. The attribute `name` is the default name under which the engine serves the router model. The
    attribute `claim` is the name of the user's PersistentVolumeClaim with the weights, or None for other locations.
    """

    origin: Literal["hub", "claim", "image"]
    model: str
    name: str
    revision: str | None = None
    claim: str | None = None

    @property
    def is_gguf(self) -> bool:
        """Returns whether the location of the weights is a GGUF file, which is the format of llama.cpp."""
        return self.model.endswith(".gguf")


def read(source: str | None) -> Weights | None:
    """Returns the parsed value of `spec.model.source`, or None for the bundled model.

    Raises ValueError if the value of `source` has an unknown form.
    """
    if source is None:
        return None
    if source.startswith("pvc://"):
        claim, _, path = source.removeprefix("pvc://").partition("/")
        path = path.strip("/")
        return Weights("claim", f"{CLAIM_FOLDER}/{path}".rstrip("/"), _last(path) or claim, claim=claim)
    if source.startswith("file://"):
        path = source.removeprefix("file://").rstrip("/")
        return Weights("image", path, _last(path))
    return _hub(source)


def _hub(source: str) -> Weights:
    match = _HUB.fullmatch(source)
    if not match:
        raise ValueError(
            f"spec.model.source: invalid value {source!r}. Use hf://org/name[@revision][/file.gguf], pvc://claim[/path]"
            " or file:///path/in/the/image"
        )
    repository, revision, file = match["repository"], match["revision"], match["file"]
    model = f"{repository}/{file}" if file else repository
    return Weights("hub", model, _last(file) if file else repository, revision=revision)


def _last(path: str) -> str:
    """Returns the last segment of the path without `.gguf` or, for the first of N files, `-00001-of-N.gguf`."""
    return _GGUF_SUFFIX.sub("", path.rpartition("/")[2])
