"""Defines the error for a request that the API server rejected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_IMMUTABLE = ("field is immutable", "is immutable after creation", "may not change once set")
"""The phrases with which the API server rejects the change of an immutable field."""
_INVALID_APPLY = "failed to create typed patch object"
"""The phrase with which the API server rejects an apply (status 500) if the manifest does not match the schema."""


class RefusedError(Exception):
    """Raised if the API server rejects a request. The properties of the error classify the rejection.

    The attribute `causes` contains the reason, the field and the message of each cause that the API server reported.
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        details = body.get("details") or {}
        self.status = status
        self.reason = str(body.get("reason") or "")
        self.message = str(body.get("message") or f"the API server returned status {status}")
        # Before Kubernetes 1.32, the rejection of an apply that would create an object names neither verb nor resource.
        self._names_no_verb = status == 403 and self.message.rstrip().endswith(" is forbidden:")
        if self._names_no_verb:
            resource = f'"{details.get("kind", "")}" in API group "{details.get("group", "")}"'
            self.message = f"{self.message.rstrip()} the operator cannot create resource {resource}"
        self.causes = [
            (str(cause.get("reason", "")), str(cause.get("field", "")), str(cause.get("message", "")))
            for cause in details.get("causes") or ()
        ]
        super().__init__(self.message)

    @property
    def is_missing_permission(self) -> bool:
        """Returns whether the API server rejected the request because the operator lacks a permission.

        The result is false if an admission webhook rejected the request with status 403.
        """
        is_named = 'User "' in self.message and " cannot " in self.message
        return self.status == 403 and (is_named or self._names_no_verb)

    @property
    def is_transient(self) -> bool:
        """Returns whether the rejected request may succeed if the operator soon sends the request again."""
        is_invalid = self.status == 500 and _INVALID_APPLY in self.message
        return self.status in (408, 429) or (self.status >= 500 and not is_invalid)

    @property
    def names_unknown_field(self) -> bool:
        """Returns whether the API server rejected the request because the request contains an unknown field."""
        return self.status == 500 and self.message.endswith("field not declared in schema")

    @property
    def is_immutable(self) -> bool:
        """Returns whether the API server rejected the request because the request changes an immutable field."""
        return self.status == 422 and any(words in self.message for words in _IMMUTABLE)

    @property
    def is_outdated(self) -> bool:
        """Returns whether the API server rejected a JSON patch because the resourceVersion in the patch is outdated."""
        return self.status == 422 and "resourceVersion" in self.message

    @property
    def is_conflict(self) -> bool:
        """Returns whether the request failed because the object was created, deleted, replaced or changed after the
        operator last read the state of the cluster."""
        is_replaced = self.status == 422 and any(field == "metadata.uid" for _, field, _ in self.causes)
        return self.status in (404, 409) or is_replaced or self.is_outdated

    @property
    def forbids_stateful_set_change(self) -> bool:
        """Returns whether the API server rejected the request because the request changes immutable fields of a
        StatefulSet."""
        return any("updates to statefulset spec" in message for _, _, message in self.causes)

    @property
    def is_terminating(self) -> bool:
        """Returns whether the API server rejected the request because the namespace is being deleted."""
        return any(reason == "NamespaceTerminating" for reason, _, _ in self.causes)
