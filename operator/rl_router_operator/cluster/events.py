"""Posts Events about a RouterDeployment, each once."""

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
from .client import Api

EVENT = Kind("events.k8s.io/v1", "Event", "events")
_NOTE = 1024
_NAME = 200


async def post(api: Api, body: Manifest, conditions: Iterable[Manifest]) -> None:
    """Posts an Event about a RouterDeployment for each of these conditions.

    An Event that cannot be created is logged, unless the namespace is being deleted.
    """
    for condition in conditions:
        try:
            await api.create(EVENT, _event(body, condition))
        except RefusedError as error:
            if error.status != 409 and not error.is_terminating:
                log(logging.WARNING, f"an Event could not be created: {error.message}")


def _event(body: Manifest, condition: Mapping[str, Any]) -> Manifest:
    """Returns the Event. Its name is a hash of what it says about which generation, so that nothing is said twice."""
    metadata = body["metadata"]
    said = "/".join(map(str, (metadata["uid"], metadata.get("generation", 0), *identity(condition))))
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{metadata['name'][:_NAME]}.{hashlib.sha256(said.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
        },
        "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "reportingController": FIELD_MANAGER,
        "reportingInstance": socket.gethostname()[:128] or FIELD_MANAGER,
        "type": "Warning" if is_warning(condition) else "Normal",
        "reason": condition["reason"],
        "action": condition["type"],
        "note": f"{condition['type']} is {condition['status']}: {condition.get('message', '')}"[:_NOTE],
        "regarding": {
            "apiVersion": ROUTER.api_version,
            "kind": ROUTER.kind,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }
