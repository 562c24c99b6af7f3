"""Posts Kubernetes Events about a RouterDeployment, and avoids duplicate Events."""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..log import log
from ..objects.kinds import ROUTER, Kind
from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError
from ..status.news import identity, is_warning
from .client import KubernetesClient

EVENT = Kind("events.k8s.io/v1", "Event", "events")
_MAXIMUM_NOTE = 1024
"""The maximum number of bytes that the API server accepts in the field `note` of an Event."""
_MAXIMUM_NAME = 200
"""The maximum number of characters of the RouterDeployment's name in the name of an Event."""


async def post(client: KubernetesClient, body: Manifest, conditions: Iterable[Manifest]) -> None:
    """Posts an Event about the RouterDeployment `body` for each condition in `conditions`.

    Logs a warning if the API server rejects an Event, unless the Event already exists or the namespace is being
    deleted. Raises UnreachableError if the API server returns no valid response, and NotLeadingError if this process of
    the operator may not write in the namespace.
    """
    for condition in conditions:
        try:
            await client.create(EVENT, _event(body, condition))
        except RefusedError as error:
            if error.status != 409 and not error.is_terminating:
                remedy = "Check the operator's permissions and the admission webhooks"
                log(logging.WARNING, f"the operator cannot create an Event: {error.message}. {remedy}")


def _event(body: Manifest, condition: Mapping[str, Any]) -> Manifest:
    """Returns the manifest of an Event about a condition of a RouterDeployment.

    The name of the Event contains a hash. The hash depends on the RouterDeployment's uid and generation, and on the
    condition's type, status and reason. Therefore the API server rejects a duplicate Event.
    """
    metadata = body["metadata"]
    content = "/".join(map(str, (metadata["uid"], metadata.get("generation", 0), *identity(condition))))
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{metadata['name'][:_MAXIMUM_NAME]}.{hashlib.sha256(content.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
        },
        "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "reportingController": FIELD_MANAGER,
        "reportingInstance": socket.gethostname()[:128] or FIELD_MANAGER,
        "type": "Warning" if is_warning(condition) else "Normal",
        "reason": condition["reason"],
        "action": condition["type"],
        "note": _note(condition),
        "regarding": {
            "apiVersion": ROUTER.api_version,
            "kind": ROUTER.kind,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }


def _note(condition: Mapping[str, Any]) -> str:
    """Returns a condition's type, status and message, shortened to the maximum number of bytes of a note."""
    note = f"{condition['type']} is {condition['status']}: {condition.get('message', '')}"
    return note.encode()[:_MAXIMUM_NOTE].decode(errors="ignore")
