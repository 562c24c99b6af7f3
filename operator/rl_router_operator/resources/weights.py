"""The source of the router model's weights, and what follows for its pod."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_HUB = re.compile(r"hf://(?P<repository>[^/]+/[^/@]+)(?:@(?P<revision>.+?))?(?:/(?P<file>.+\.gguf))?")
_GGUF_SUFFIX = re.compile(r"(-00001-of-\d{5})?\.gguf$")
CLAIM_FOLDER = "/var/lib/rl-router/model"
"""Where a user's claim with weights is mounted."""


@dataclass(frozen=True)
class Weights:
    """`model` is what the engine is told to load: a name on the hub or a path in the container. `name` is what it is
    served as; `claim` is the user's that holds it."""

    origin: Literal["hub", "claim", "image"]
    model: str
    name: str
    revision: str | None = None
    claim: str | None = None

    @property
    def is_gguf(self) -> bool:
        """Whether it is llama.cpp's format."""
        return self.model.endswith(".gguf")


def read(source: str | None) -> Weights | None:
    """The weights of `spec.model.source`; None for the bundled model."""
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
    written = _HUB.fullmatch(source)
    if not written:
        raise ValueError(f"{source!r} is no hf://org/name[@revision][/file.gguf]")
    repository, revision, file = written["repository"], written["revision"], written["file"]
    model = f"{repository}/{file}" if file else repository
    return Weights("hub", model, _last(file) if file else repository, revision=revision)


def _last(path: str) -> str:
    """The last name in the path, without what only says that it is llama.cpp's format."""
    return _GGUF_SUFFIX.sub("", path.rpartition("/")[2])
