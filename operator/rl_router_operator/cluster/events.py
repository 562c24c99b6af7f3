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
"""The maximum number of characters that the API server accepts in the field `note` of an Event."""
_MAXIMUM_NAME = 200
"""The maximum number of characters that the name of an Event contains of the name of the RouterDeployment."""


async def post(client: KubernetesClient, body: Manifest, conditions: Iterable[Manifest]) -> None:
    """Posts an Event about the RouterDeployment `body` for each condition.

    Logs a warning if the API server rejects an Event, unless the Event already exists or the namespace is being
    deleted. Raises UnreachableError if the API server does not respond, and NotLeadingError if this process of the
    operator may not write in the namespace.
    """
    for condition in conditions:
        try:
            await client.create(EVENT, _event(body, condition))
        except RefusedError as error:
            if error.status != 409 and not error.is_terminating:
                log(logging.WARNING, f"the operator cannot create an Event: {error.message}")


def _event(body: Manifest, condition: Mapping[str, Any]) -> Manifest:
    """Returns the manifest of an Event about a condition of a RouterDeployment.

    The name of the Event contains a hash of the condition, so that the API server rejects a duplicate Event.
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
        "note": f"{condition['type']} is {condition['status']}: {condition.get('message', '')}"[:_MAXIMUM_NOTE],
        "regarding": {
            "apiVersion": ROUTER.api_version,
            "kind": ROUTER.kind,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }
