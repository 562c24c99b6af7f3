"""Mounts API keys as files into the API pods. A Secret with API keys may be missing, and may change while pods run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from ..objects.routerdeployment import RouterDeployment
from ..schema import KeyRef

FOLDER = "/var/run/rl-router/keys"
API_KEYS = "keys"
"""The key of the list of clients and their hashed API keys in the Secret that `spec.api.auth.secretRef` names."""


def path(secret: str, key: str) -> str:
    """Returns the path in an API pod at which the value of a Secret's key is mounted."""
    return f"{FOLDER}/{secret}/{key}"


def secret_key_at(file: str) -> tuple[str, str] | None:
    """Returns the names of a Secret and of the key whose value is mounted at the path `file` in an API pod.

    Returns None for any other path.
    """
    match file.removeprefix(f"{FOLDER}/").split("/"):
        case [secret, key] if file == path(secret, key):
            return secret, key
    return None


def path_of(ref: KeyRef) -> str:
    """Returns the path in an API pod at which the value of the key that `ref` references is mounted."""
    return path(ref.name, ref.key)


def volumes(router: RouterDeployment) -> list[dict[str, Any]]:
    """Returns a volume for each Secret with API keys that the spec names.

    A volume contains all keys of its Secret, so that the pods do not restart if the spec uses another key of the
    Secret.
    """
    return [
        {"name": _volume(secret), "projected": {"sources": [{"secret": {"name": secret, "optional": True}}]}}
        for secret in _secrets(router)
    ]


def mounts(router: RouterDeployment) -> list[dict[str, Any]]:
    """Returns a volume mount for each Secret with API keys that the spec names."""
    return [
        {"name": _volume(secret), "mountPath": f"{FOLDER}/{secret}", "readOnly": True} for secret in _secrets(router)
    ]


def _secrets(router: RouterDeployment) -> list[str]:
    # The names are sorted, so that reordering the targets does not restart the pods.
    return sorted(set(_secret_names(router)))


def _secret_names(router: RouterDeployment) -> Iterator[str]:
    spec = router.spec
    refs = [target.api_key_secret_ref for target in spec.targets]
    if spec.model.external:
        refs.append(spec.model.external.api_key_secret_ref)
    yield from (ref.name for ref in refs if ref)
    if spec.api.auth.secret_ref:
        yield spec.api.auth.secret_ref.name


def _volume(secret: str) -> str:
    # The name of a Secret may be too long for the name of a volume, and may contain dots.
    return f"keys-{hashlib.sha256(secret.encode()).hexdigest()[:12]}"
