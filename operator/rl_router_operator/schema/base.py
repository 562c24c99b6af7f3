"""What the parts of the schema share: bounded types, references, and CEL rules, which the API server checks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue
from rl_router_api.config import Schema

GROUP = "rlrouter.dev"
VERSION = "v1alpha1"
KIND = "RouterDeployment"
PLURAL = "routerdeployments"

REMEDY = "remedy"
"""In a field's json_schema_extra: what the API server says where its pattern is not met, in place of the pattern."""


def validations(*checks: tuple[str, str] | tuple[str, str, str]) -> dict[str, JsonValue]:
    """Rules that the API server checks: (CEL expression, message) or (…, message, path of the field it is about)."""
    found: list[JsonValue] = []
    for expression, message, *path in checks:
        rule: dict[str, JsonValue] = {"rule": expression, "message": message}
        if path:
            rule["fieldPath"] = path[0]
        found.append(rule)
    return {"x-kubernetes-validations": found}


def rules(*checks: tuple[str, str] | tuple[str, str, str]) -> ConfigDict:
    """The configuration of a model with such rules."""
    return ConfigDict(json_schema_extra=validations(*checks))


def url_rule(field: str) -> tuple[str, str, str]:
    """That a field holds an endpoint's URL which says where it is and nothing else."""
    return (
        rf"self.{field}.matches(r'^https?://({_HOST}|\[({_IPV6})\])(:{_PORT})?(/{_PRINTABLE}*)?$')",
        "must be an http:// or https:// URL such as https://api.openai.com/v1 or http://[fd00::1]:8000/v1, without user"
        " info, query or fragment: a key goes into apiKeySecretRef",
        f".{field}",
    )


KEY_LIKE = "(^|[^A-Za-z0-9])(hf_[A-Za-z0-9]{16}|sk-[A-Za-z0-9_-]{16})"
"""A key within a text: as long as one, so that a word which merely begins so is none."""


def begins_like_a_key(value: str) -> str:
    """The CEL expression for whether a value is one that is mostly a key; cheaper than by pattern."""
    return f"['Bearer ', 'bearer ', 'Basic ', 'basic ', 'hf_', 'sk-'].exists(start, {value}.startsWith(start))"


_HOST = "[A-Za-z0-9_]([-A-Za-z0-9._]*[A-Za-z0-9_])?"
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [f"({_GROUP}:){{7}}{_GROUP}", f"({_GROUP}:){{1,7}}:", f":(:{_GROUP}){{1,7}}", "::"]
    + [f"({_GROUP}:){{1,{7 - after}}}(:{_GROUP}){{1,{after}}}" for after in range(1, 7)]
)
"""Eight groups, or fewer around `::`; Kubernetes' own test for it is too young for 1.30."""
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PRINTABLE = r'[!-"$->@-~]'
"""What is printed in ASCII, without `#` and `?`."""

_OBJECT_NAME = "must be the name of an object: a-z, 0-9, `-` and `.`, beginning and ending with a letter or a digit"
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
        json_schema_extra={REMEDY: "must be a-z, 0-9 and `-`, beginning and ending with a letter or a digit"},
    ),
]
HostName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        json_schema_extra={REMEDY: "must be a host name such as router.example.com, without scheme, port and path"},
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
            REMEDY: "a label's value has letters, digits, `-`, `_` and `.`, the first and last being letters or digits"
        },
    ),
]
AnnotationValue = Annotated[str, Field(max_length=16_384)]

_KEYS = (
    "self.all(key, key.matches('^([a-z0-9][-a-z0-9.]{0,252}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
    "a key is a name of at most 63 letters, digits, `-`, `_` and `.`, with a domain and `/` before it or without",
)
_NOT_OURS = (
    f"self.all(key, !key.startsWith('{GROUP}/'))",
    f"keys that begin with `{GROUP}/` are the operator's own: choose another",
)
_NOT_SELECTED = (
    "!self.exists(key, key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component',"
    " 'app.kubernetes.io/managed-by'])",
    "app.kubernetes.io/name, instance, component and managed-by are the operator's own, by which it finds what it made:"
    " choose another label",
)
Labels = Annotated[
    dict[LabelKey, LabelValue],
    Field(max_length=64, json_schema_extra=validations(_KEYS, _NOT_OURS, _NOT_SELECTED)),
]
Annotations = Annotated[
    dict[LabelKey, AnnotationValue], Field(max_length=64, json_schema_extra=validations(_KEYS, _NOT_OURS))
]
Quantity = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "pattern": r"^[0-9]{1,18}(\.[0-9]{1,9})?(m|[kMGTPE]|[KMGTPE]i)?$",
            "maxLength": 32,
        }
    ),
]
"""An amount as Kubernetes writes it: `2`, `500m`, `40Gi`."""
Open = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""An object of a type that Kubernetes defines and checks itself."""
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[!-~]+$")]
MAP_BY_NAME: dict[str, JsonValue] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""A list whose items are told apart by their names, each of which may be there once."""


class ObjectRef(Schema):
    """An object of the RouterDeployment's own namespace."""

    name: ObjectName = Field(description="the object's name, in the same namespace")


class KeyRef(ObjectRef):
    """A key of a Secret or ConfigMap of the RouterDeployment's own namespace."""

    key: DataKey = Field(description="the key under which the value stands")
