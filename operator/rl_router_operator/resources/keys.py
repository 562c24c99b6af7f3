"""API keys as files in the API's pods, from Secrets that may be missing or may change while the pods run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from ..objects.routerdeployment import RouterDeployment
from ..schema import KeyRef

FOLDER = "/var/run/rl-router/keys"
API_KEYS = "keys"
"""The key, in the Secret of `api.auth`, that holds who may ask."""


def path(secret: str, key: str) -> str:
    """Where a Secret's key is found in the pod."""
    return f"{FOLDER}/{secret}/{key}"


def named_by(file: str) -> tuple[str, str] | None:
    """The Secret and its key that are found at a path in the pod; None for any other path."""
    match file.removeprefix(f"{FOLDER}/").split("/"):
        case [secret, key] if file == path(secret, key):
            return secret, key
    return None


def path_of(ref: KeyRef) -> str:
    """Where the referenced key is found in the pod."""
    return path(ref.name, ref.key)


def volumes(router: RouterDeployment) -> list[dict[str, Any]]:
    """A volume for each Secret, with all its keys: another key of a Secret that is mounted restarts no pod."""
    return [
        {"name": _volume(secret), "projected": {"sources": [{"secret": {"name": secret, "optional": True}}]}}
        for secret in _secrets(router)
    ]


def mounts(router: RouterDeployment) -> list[dict[str, Any]]:
    """Where the volumes are mounted."""
    return [
        {"name": _volume(secret), "mountPath": f"{FOLDER}/{secret}", "readOnly": True} for secret in _secrets(router)
    ]


def _secrets(router: RouterDeployment) -> list[str]:
    # Sorted, so that targets in another order restart no pod.
    return sorted(set(_named(router)))


def _named(router: RouterDeployment) -> Iterator[str]:
    spec = router.spec
    refs = [target.api_key_secret_ref for target in spec.targets]
    if spec.model.external:
        refs.append(spec.model.external.api_key_secret_ref)
    yield from (ref.name for ref in refs if ref)
    if spec.api.auth.secret_ref:
        yield spec.api.auth.secret_ref.name


def _volume(secret: str) -> str:
    # A Secret's name may be longer than a volume's, and have dots.
    return f"keys-{hashlib.sha256(secret.encode()).hexdigest()[:12]}"
