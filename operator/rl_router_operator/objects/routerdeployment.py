"""Parses a RouterDeployment that the operator has read from the API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from rl_router_api.config import BY_ALIAS

from ..schema import GROUP, KIND, VERSION, RouterDeploymentSpec

PAUSED = f"{GROUP}/paused"
Key = tuple[str, str]
"""The namespace and the name of a RouterDeployment."""


class InvalidSpecError(Exception):
    """Raised if the operator finds an invalid field in a spec that the API server has accepted.

    The message of the error names up to three invalid fields and says why each of these fields is invalid.
    """


@dataclass(frozen=True)
class RouterDeployment:
    """A parsed RouterDeployment.

    The attribute `status` is the last status that an operator wrote, or an empty mapping if no status was written.
    """

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
        """Returns whether the RouterDeployment is paused. During a pause, the operator does not change the children."""
        return self.annotations.get(PAUSED) == "true"

    @property
    def owner_reference(self) -> dict[str, Any]:
        """The owner reference that every child contains.

        Because of the owner reference, Kubernetes' garbage collector deletes the children of a deleted
        RouterDeployment.
        """
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }


def read(body: Mapping[str, Any]) -> RouterDeployment:
    """Parses a RouterDeployment from the API server. Raises InvalidSpecError if the spec contains an invalid field."""
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
    """Parses the spec of a RouterDeployment with field names in camelCase, as the API server stores the spec.

    Raises InvalidSpecError if the spec contains an invalid field.
    """
    try:
        return RouterDeploymentSpec.model_validate(spec, **BY_ALIAS)
    except ValidationError as error:
        raise InvalidSpecError("; ".join(_line(detail) for detail in error.errors(include_input=False)[:3])) from None


def _line(detail: Any) -> str:
    field = ".".join(["spec", *(str(part) for part in detail["loc"])])
    return f"{field}: {detail['msg'].removeprefix('Value error, ')}"
