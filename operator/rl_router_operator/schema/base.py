"""What the parts of the schema share: bounded types, references, and rules that the API server checks (CEL)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue
from rl_router_api.config import Schema

GROUP = "rlrouter.dev"
VERSION = "v1alpha1"
KIND = "RouterDeployment"
PLURAL = "routerdeployments"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
HostName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]
AnnotationValue = Annotated[str, Field(max_length=16_384)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
Annotations = Annotated[dict[LabelKey, AnnotationValue], Field(max_length=64)]
_AMOUNT = r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
Quantity = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": rf"^(\+|-)?{_AMOUNT}(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?{_AMOUNT}))?$",
            "maxLength": 64,
        }
    ),
]
"""An amount as Kubernetes writes it: `2`, `500m`, `40Gi`."""
Open = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""An object of a type that Kubernetes defines and checks itself."""
ImageName = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")]


def rules(*checks: tuple[str, str] | tuple[str, str, str]) -> ConfigDict:
    """A model's configuration with rules for the API server: (CEL expression, message) or (…, message, field path)."""
    found: list[JsonValue] = []
    for expression, message, *path in checks:
        rule: dict[str, JsonValue] = {"rule": expression, "message": message}
        if path:
            rule["fieldPath"] = path[0]
        found.append(rule)
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": found})


class ObjectRef(Schema):
    """An object of the RouterDeployment's own namespace."""

    name: ObjectName = Field(description="the object's name, in the same namespace")


class KeyRef(ObjectRef):
    """A key of a Secret or ConfigMap of the RouterDeployment's own namespace."""

    key: DataKey = Field(description="the key under which the value stands")
