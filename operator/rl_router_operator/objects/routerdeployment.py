"""A RouterDeployment as read from the API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from rl_router_api.config import BY_ALIAS

from ..schema import GROUP, KIND, VERSION, RouterDeploymentSpec

PAUSED = f"{GROUP}/paused"
Key = tuple[str, str]
"""The namespace and name of a RouterDeployment."""


class InvalidSpecError(Exception):
    """The API server accepted a spec that the operator cannot use. The message names the field and the fix."""


@dataclass(frozen=True)
class RouterDeployment:
    """A parsed RouterDeployment. `status` is the status that was written last."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: RouterDeploymentSpec
    annotations: Mapping[str, str]
    status: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """The namespace and name of the RouterDeployment."""
        return self.namespace, self.name

    @property
    def paused(self) -> bool:
        """Returns whether the operator must leave the children unchanged."""
        return self.annotations.get(PAUSED) == "true"

    @property
    def owner_reference(self) -> dict[str, Any]:
        """The owner reference of the children. It makes the garbage collector delete them with the RouterDeployment."""
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }


def read(body: Mapping[str, Any]) -> RouterDeployment:
    """Parses a RouterDeployment from the API server. Raises InvalidSpecError."""
    metadata = body["metadata"]
    return RouterDeployment(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        spec=read_spec(body.get("spec") or {}),
        annotations=metadata.get("annotations") or {},
        status=body.get("status") or {},
    )


def read_spec(spec: Mapping[str, Any]) -> RouterDeploymentSpec:
    """Parses a spec in camelCase, as the API server stores it. Raises InvalidSpecError."""
    try:
        return RouterDeploymentSpec.model_validate(spec, **BY_ALIAS)
    except ValidationError as error:
        raise InvalidSpecError("; ".join(_line(detail) for detail in error.errors(include_input=False)[:3])) from None


def _line(detail: Any) -> str:
    field = ".".join(["spec", *(str(part) for part in detail["loc"])])
    return f"{field}: {detail['msg'].removeprefix('Value error, ')}"
