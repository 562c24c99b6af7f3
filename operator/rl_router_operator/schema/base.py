"""Defines the bounded types, references and CEL rules that all parts of the schema share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue, PlainValidator, WithJsonSchema
from rl_router_api.config import Schema

from .quantity import amount

GROUP = "rlrouter.dev"
VERSION = "v1alpha1"
KIND = "RouterDeployment"
PLURAL = "routerdeployments"

REMEDY = "remedy"
"""The key in a field's json_schema_extra that has the error message for a value that does not match the pattern."""


def validations(*checks: tuple[str, str] | tuple[str, str, str]) -> dict[str, JsonValue]:
    """Returns the checks as validation rules of the API server.

    A check is (CEL expression, message) or (CEL expression, message, field path).
    """
    entries: list[JsonValue] = []
    for expression, message, *path in checks:
        rule: dict[str, JsonValue] = {"rule": expression, "message": message}
        if path:
            rule["fieldPath"] = path[0]
        entries.append(rule)
    return {"x-kubernetes-validations": entries}


def rules(*checks: tuple[str, str] | tuple[str, str, str]) -> ConfigDict:
    """Returns the configuration of a pydantic model to which the API server applies these checks."""
    return ConfigDict(json_schema_extra=validations(*checks))


def url_rule(field: str) -> tuple[str, str, str]:
    """Returns the rule that a field must be an endpoint's URL without credentials, query or fragment."""
    return (
        rf"self.{field}.matches(r'^https?://({_HOST}|\[({_IPV6})\])(:{_PORT})?(/{_PRINTABLE}*)?$')",
        "must be an http:// or https:// URL such as https://api.openai.com/v1 or http://[fd00::1]:8000/v1, without user"
        " name, password, query and fragment. Put an API key into apiKeySecretRef",
        f".{field}",
    )


KEY_LIKE = "(^|[^A-Za-z0-9])(hf_[A-Za-z0-9]{16}|sk-[A-Za-z0-9_-]{16})"
"""Matches an API key within a text. The pattern requires 16 more characters, so that `hf_home` does not match."""


def begins_like_a_key(value: str) -> str:
    """Returns a CEL expression that is true if a value begins like an API key.

    The API server limits the cost of expressions, and a comparison of prefixes is cheaper than a pattern.
    """
    return f"['Bearer ', 'bearer ', 'Basic ', 'basic ', 'hf_', 'sk-'].exists(prefix, {value}.startsWith(prefix))"


_HOST = "[A-Za-z0-9_]([-A-Za-z0-9._]*[A-Za-z0-9_])?"
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [f"({_GROUP}:){{7}}{_GROUP}", f"({_GROUP}:){{1,7}}:", f":(:{_GROUP}){{1,7}}", "::"]
    + [f"({_GROUP}:){{1,{7 - after}}}(:{_GROUP}){{1,{after}}}" for after in range(1, 7)]
)
"""Matches an IPv6 address: eight groups, or fewer groups around `::`. CEL has no such check in Kubernetes 1.30."""
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PRINTABLE = r'[!-"$->@-~]'
"""Matches a character of a URL's path: printable ASCII except blanks, `#` and `?`."""

_OBJECT_NAME = "must consist of a-z, 0-9, `-` and `.`, and must begin and end with a letter or digit"
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
        json_schema_extra={REMEDY: "must consist of a-z, 0-9 and `-`, and must begin and end with a letter or digit"},
    ),
]
HostName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        json_schema_extra={REMEDY: "must be a host name such as router.example.com, without scheme, port or path"},
    ),
]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        json_schema_extra={
            REMEDY: "must consist of letters, digits, `-`, `_` and `.`, and must begin and end with a letter or digit"
        },
    ),
]
AnnotationValue = Annotated[str, Field(max_length=16_384)]

_KEYS = (
    "self.all(key, key.matches('^([a-z0-9][-a-z0-9.]{0,252}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
    "a key must have the form `name` or `domain/name`. The name can have at most 63 letters, digits, `-`, `_` and `.`",
)
_NOT_RESERVED = (
    f"self.all(key, !key.startsWith('{GROUP}/'))",
    f"keys that begin with `{GROUP}/` are reserved for the operator. Choose another key",
)
_NOT_MANAGED = (
    "!self.exists(key, key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component',"
    " 'app.kubernetes.io/managed-by'])",
    "the labels app.kubernetes.io/name, /instance, /component and /managed-by are reserved for the operator. Choose"
    " another label",
)
Labels = Annotated[
    dict[LabelKey, LabelValue],
    Field(max_length=64, json_schema_extra=validations(_KEYS, _NOT_RESERVED, _NOT_MANAGED)),
]
Annotations = Annotated[
    dict[LabelKey, AnnotationValue], Field(max_length=64, json_schema_extra=validations(_KEYS, _NOT_RESERVED))
]


def _read_quantity(value: Any) -> Any:
    """Returns the value as it was written, so that the hash of `spec.model` stays the same. Raises ValueError."""
    if amount(value) < 0:
        raise ValueError(f"negative quantity {value!r}. Use 0 or more, such as 500m or 40Gi")
    return value


Quantity = Annotated[
    int | float | str,
    PlainValidator(_read_quantity),
    WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True, "maxLength": 64}),
]
"""A quantity in any form that a Pod accepts, such as `0.5`, `500m` or `40Gi`.

The CRD cannot describe these forms: the type int-or-string rejects fractions, and the API server rejects a choice among
other types. So the operator reads the value, and reports an invalid value in the condition Ready.
"""
Size = Annotated[
    int | str, Field(json_schema_extra={"x-kubernetes-int-or-string": True, "minimum": 0, "maxLength": 64})
]
"""A size in bytes such as `40Gi`. The field needs a rule, because the type accepts any text."""
Open = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""A part of a Kubernetes object, such as an affinity, whose fields Kubernetes defines and validates."""
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[!-~]+$")]
MAP_BY_NAME: dict[str, JsonValue] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""Marks a list in which every item has a unique name. The API server merges items of the same name."""


class ObjectRef(Schema):
    """A reference to an object in the namespace of the RouterDeployment."""

    name: ObjectName = Field(description="name of the Secret or ConfigMap, in the namespace of the RouterDeployment")


class KeyRef(ObjectRef):
    """A reference to a key of a Secret or ConfigMap in the namespace of the RouterDeployment."""

    key: DataKey = Field(description="key in the `data` of the Secret or ConfigMap")
