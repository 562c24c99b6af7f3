"""Events about a RouterDeployment: what a person should notice, each once."""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..log import log
from ..objects.kinds import ROUTER, Kind
from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError
from ..status.reasons import AS_ASKED, UNDER_WAY
from .client import Api

EVENT = Kind("events.k8s.io/v1", "Event", "events")
_NOTE = 1024
_NAME = 200


def news(body: Manifest, after: Mapping[str, Any]) -> list[Manifest]:
    """Returns the Events about a RouterDeployment whose status becomes `after`: one per condition with a new reason.

    There is none for progress. Ready that becomes True speaks for the conditions that it depends on, and those speak
    for Ready if it is not True for their reason. An Event's name is a hash of what it says about which generation, so
    that the same is never said twice.
    """
    before = [_identity(condition) for condition in (body.get("status") or {}).get("conditions", ())]
    new = [condition for condition in after.get("conditions", ()) if _identity(condition) not in before]
    causes = {condition["reason"] for condition in after.get("conditions", ()) if condition["type"] != "Ready"}
    is_ready = any((condition["type"], condition["status"]) == ("Ready", "True") for condition in new)
    return [_event(body, condition) for condition in new if _is_news(condition, causes, is_ready=is_ready)]


async def post(api: Api, events: list[Manifest]) -> None:
    """Creates the Events. An Event that cannot be created is logged, unless the namespace is being deleted."""
    for event in events:
        try:
            await api.create(EVENT, event)
        except RefusedError as error:
            if error.status != 409 and not error.is_terminating:
                log(logging.WARNING, f"an Event could not be created: {error.message}")


def _is_news(condition: Mapping[str, Any], causes: set[str], *, is_ready: bool) -> bool:
    if condition["reason"] in UNDER_WAY:
        return False
    if condition["type"] == "Ready":
        return condition["status"] == "True" or condition["reason"] not in causes
    return not (is_ready and condition["status"] == "True" and condition["type"] != "Degraded")


def _identity(condition: Mapping[str, Any]) -> tuple[Any, ...]:
    return condition["type"], condition.get("status"), condition.get("reason")


def _event(body: Manifest, condition: Mapping[str, Any]) -> Manifest:
    metadata = body["metadata"]
    generation = metadata.get("generation", 0)
    said = "/".join(str(each) for each in (metadata["uid"], generation, *_identity(condition)))
    bad = condition["status"] == ("True" if condition["type"] == "Degraded" else "False")
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
        "type": "Warning" if bad and condition["reason"] not in AS_ASKED else "Normal",
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
