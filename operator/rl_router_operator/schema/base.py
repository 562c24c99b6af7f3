"""Defines the types, the references to Kubernetes objects and the CEL rules that the parts of the schema share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, PlainValidator, WithJsonSchema
from rl_router_api.config import Schema

from .quantity import amount

GROUP = "rlrouter.dev"
VERSION = "v1alpha1"
KIND = "RouterDeployment"
PLURAL = "routerdeployments"

REMEDY = "remedy"
"""The key, in a field's `json_schema_extra`, of the error message for a text that violates the field's pattern."""


def validations(*checks: tuple[str, str] | tuple[str, str, str]) -> dict[str, JsonValue]:
    """Returns the checks in the form of CEL validation rules that the API server applies.

    Each check is a tuple of a CEL expression, an error message and optionally the path of the invalid field.
    """
    entries: list[JsonValue] = []
    for expression, message, *path in checks:
        rule: dict[str, JsonValue] = {"rule": expression, "message": message}
        if path:
            rule["fieldPath"] = path[0]
        entries.append(rule)
    return {"x-kubernetes-validations": entries}


def rules(*checks: tuple[str, str] | tuple[str, str, str]) -> ConfigDict:
    """Returns the configuration of a pydantic model. The API server validates the model's objects with the checks."""
    return ConfigDict(json_schema_extra=validations(*checks))


def url_rule(field: str) -> tuple[str, str, str]:
    """Returns the CEL rule that the value of a field must be a URL without credentials, query or fragment."""
    return (
        rf"self.{field}.matches(r'^https?://({_HOST}|\[({_IPV6})\])(:{_PORT})?(/{_PRINTABLE}*)?$')",
        f"{field} must be an http:// or https:// URL such as https://api.openai.com/v1 or http://[fd00::1]:8000/v1,"
        " without user name, password, query or fragment. Put an API key into a Secret, and name the Secret in"
        " the field apiKeySecretRef",
        f".{field}",
    )


KEY_LIKE = "(^|[^A-Za-z0-9])(hf_[A-Za-z0-9]{16}|sk-[A-Za-z0-9_-]{16})"
"""A pattern that finds, in a text, a word that begins with `hf_` or `sk-` and looks like an API key.

The pattern requires 16 characters after `hf_` or `sk-`, so that a text such as `hf_home` does not match.
"""


def begins_like_a_key(value: str) -> str:
    """Returns a CEL expression that is true if the value of the CEL expression `value` begins like an API key.

    The returned expression compares prefixes, because the API server limits the cost of CEL expressions, and because
    matching a pattern costs more than comparing prefixes.
    """
    return f"['Bearer ', 'bearer ', 'Basic ', 'basic ', 'hf_', 'sk-'].exists(prefix, {value}.startsWith(prefix))"


_HOST = "[A-Za-z0-9_]([-A-Za-z0-9._]*[A-Za-z0-9_])?"
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [f"({_GROUP}:){{7}}{_GROUP}", f"({_GROUP}:){{1,7}}:", f":(:{_GROUP}){{1,7}}", "::"]
    + [f"({_GROUP}:){{1,{7 - after}}}(:{_GROUP}){{1,{after}}}" for after in range(1, 7)]
)
"""A pattern that matches an IPv6 address without an embedded IPv4 address.

Such an address consists of eight groups of hexadecimal digits, or of fewer groups and `::`.

In Kubernetes 1.30, the CEL rules of a CRD cannot use the function `isIP`, which recognizes IP addresses.
"""
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PRINTABLE = r'[!-"$->@-~]'
"""A pattern that matches one character of a URL's path: any printable ASCII character except spaces, `#` and `?`."""

_OBJECT_NAME = (
    "the name of a Kubernetes object must consist of a-z, 0-9, `-` and `.`, and must begin and end with a letter or"
    " digit"
)
ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        json_schema_extra={REMEDY: _OBJECT_NAME},
    ),
]
VolumeName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra={
            REMEDY: "a volume name must consist of a-z, 0-9 and `-`, and must begin and end with a letter or digit"
        },
    ),
]
HostName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        json_schema_extra={
            REMEDY: "a host name must look like router.example.com, in lower case and without scheme, port or path"
        },
    ),
]
DataKey = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^([-_a-zA-Z0-9]|\.[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$")
]
"""A key in the data of a Secret or ConfigMap. The API server rejects the key `.` and keys that begin with `..`."""
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        json_schema_extra={
            REMEDY: "a label value must be empty, or must consist of letters, digits, `-`, `_` and `.` and begin and"
            " end with a letter or digit"
        },
    ),
]
AnnotationValue = Annotated[str, Field(max_length=16_384)]

_KEYS = (
    "self.all(key, key.matches('^([a-z0-9][-a-z0-9.]{0,252}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
    "a label key or annotation key must have the form `name` or `domain/name`. Use a domain such as example.com and a"
    " name of at most 63 letters, digits, `-`, `_` and `.` that begins and ends with a letter or digit",
)
_NOT_RESERVED = (
    f"self.all(key, !key.startsWith('{GROUP}/'))",
    f"label keys and annotation keys that begin with `{GROUP}/` are reserved for the operator. Choose another key",
)
_NOT_MANAGED = (
    "!self.exists(key, key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component',"
    " 'app.kubernetes.io/managed-by'])",
    "the labels app.kubernetes.io/name, app.kubernetes.io/instance, app.kubernetes.io/component and"
    " app.kubernetes.io/managed-by are reserved for the operator. Choose another label key",
)
_NOT_OF_KUBERNETES = (
    "!self.exists(key, key.startsWith('deployment.kubernetes.io/')"
    " || key.startsWith('autoscaling.alpha.kubernetes.io/')"
    " || key in ['deprecated.deployment.rollback.to', 'kubectl.kubernetes.io/last-applied-configuration'])",
    "Kubernetes and kubectl themselves write or remove the annotations deployment.kubernetes.io/…,"
    " autoscaling.alpha.kubernetes.io/…, deprecated.deployment.rollback.to and"
    " kubectl.kubernetes.io/last-applied-configuration. Choose another annotation key",
)
"""The CEL rule against annotations that Kubernetes would change back after each apply of the operator.

The Deployment controller writes the annotation with the revision number, and removes the annotation that requests a
rollback. The API server removes the annotations of earlier API versions from a HorizontalPodAutoscaler.
"""
Labels = Annotated[
    dict[LabelKey, LabelValue],
    Field(max_length=64, json_schema_extra=validations(_KEYS, _NOT_RESERVED, _NOT_MANAGED)),
]
Annotations = Annotated[
    dict[LabelKey, AnnotationValue],
    Field(max_length=64, json_schema_extra=validations(_KEYS, _NOT_RESERVED, _NOT_OF_KUBERNETES)),
]


def _read_quantity(value: Any) -> Any:
    """Returns the quantity unchanged, because a converted quantity would change the hash of `spec.model`.

    Raises ValueError if the quantity is invalid or negative.
    """
    if amount(value) < 0:
        raise ValueError(f"negative quantity {value!r}. Use a quantity of 0 or more, such as 500m or 40Gi")
    return value


Quantity = Annotated[
    int | float | str,
    PlainValidator(_read_quantity),
    WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True, "maxLength": 64}),
]
"""A quantity in any form that a Pod accepts, such as `0.5`, `500m` or `40Gi`.

The CRD cannot describe all forms of a quantity, because the type int-or-string rejects fractions, and because the API
server rejects a schema with several types. The operator itself checks each quantity, and reports an invalid quantity in
the condition Ready.
"""
Size = Annotated[
    int | str,
    AfterValidator(_read_quantity),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "minimum": 0, "maxLength": 64}),
]
"""A size in bytes, such as `40Gi`. Each such field needs a CEL rule, because the CRD's type accepts any text."""
Open = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""A mapping with a part of a Kubernetes object, such as an affinity. Kubernetes, not the CRD, validates the part."""
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[!-~]+$")]
MAP_BY_NAME: dict[str, JsonValue] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""The CRD attributes of a list in which every item has a unique name.

In a server-side apply, the API server merges items of the same name into one item of the list.
"""


class ObjectRef(Schema):
    """A reference to an object in the namespace of the RouterDeployment."""

    name: ObjectName = Field(description="name of the Secret or ConfigMap, in the namespace of the RouterDeployment")


class KeyRef(ObjectRef):
    """A reference to a key of a Secret or ConfigMap in the namespace of the RouterDeployment."""

    key: DataKey = Field(description="key of an entry in the `data` of the Secret or ConfigMap")
