"""Builds the CustomResourceDefinition of RouterDeployments."""

from __future__ import annotations

from ..schema import GROUP, KIND, PLURAL, VERSION, RouterDeploymentSpec, RouterDeploymentStatus
from ..schema.base import validations
from .bounds import require_fit
from .openapi import Json, defaults_of, separate_defaults, structural

_RULES = validations(
    (
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 46",
        "metadata.name must consist of at most 46 characters from a-z, 0-9 and `-`, begin with a letter, and end"
        " with a letter or digit. Choose another name for the RouterDeployment",
    ),
    (
        "!self.spec.model.serviceAccount.create || !self.spec.api.serviceAccount.create"
        " || (has(self.spec.model.serviceAccount.name) ? self.spec.model.serviceAccount.name"
        " : self.metadata.name + '-model')"
        " != (has(self.spec.api.serviceAccount.name) ? self.spec.api.serviceAccount.name"
        " : self.metadata.name + '-api')",
        "the service accounts of the model pods and of the API pods would have the same name. Set different names in"
        " spec.model.serviceAccount.name and spec.api.serviceAccount.name, or create only one of the two service"
        " accounts",
        ".spec.api.serviceAccount",
    ),
)
"""The CEL rule for the name of a RouterDeployment, and the CEL rule that compares the names of service accounts."""


def definition() -> Json:
    """Returns the CustomResourceDefinition of RouterDeployments.

    Raises UnfitSchemaError if a field has no description, or if a text, list or map has no maximum size.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["rd"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def _version() -> Json:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": _columns(),
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.api.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _root()},
    }


def _columns() -> list[Json]:
    ready = '.status.conditions[?(@.type=="Ready")]'
    paths = {
        "Ready": f"{ready}.status",
        "Reason": f"{ready}.reason",
        "Model": ".status.model",
        "API": ".status.api",
        "URL": ".status.url",
    }
    columns = [{"name": name, "type": "string", "jsonPath": path} for name, path in paths.items()]
    return [*columns, {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]


def _root() -> Json:
    spec = structural(RouterDeploymentSpec)
    spec["default"] = defaults_of(spec)
    status = structural(RouterDeploymentStatus, defaults=False)
    for name, schema in (("spec", spec), ("status", status)):
        require_fit(schema, name)
        separate_defaults(schema)
    return {
        "type": "object",
        "description": "A router, which consists of a router model, the router API for clients, and targets.",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
        **_RULES,
    }
