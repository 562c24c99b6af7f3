"""Events: what a person should notice about a RouterDeployment, each once."""

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
from ..status.reasons import AS_ASKED, UNDER_WAY
from .client import Api, RefusedError

EVENT = Kind("events.k8s.io/v1", "Event", "events")
_NOTE = 1024
_NAME = 200


def news(body: Manifest, after: Mapping[str, Any]) -> list[Manifest]:
    """The Events about a RouterDeployment whose status becomes `after`: one for each condition with another reason.

    What is merely under way is no news, nor is that Ready is not True for a reason that another condition gives. An
    Event's name is made of what it says of which generation, so that the same is never said twice.
    """
    before = [_said(each) for each in (body.get("status") or {}).get("conditions", ())]
    conditions = after.get("conditions", ())
    causes = [each["reason"] for each in conditions if each["type"] != "Ready"]
    return [
        _event(body, condition)
        for condition in conditions
        if _said(condition) not in before
        and condition["reason"] not in UNDER_WAY
        and (condition["type"] != "Ready" or condition["status"] == "True" or condition["reason"] not in causes)
    ]


async def post(api: Api, events: list[Manifest]) -> None:
    """Makes the Events. One that cannot be made costs a line in the log, no more; in a namespace that is being deleted
    none can."""
    for event in events:
        try:
            await api.create(EVENT, event)
        except RefusedError as error:
            if error.status != 409 and not error.is_terminating:
                log(logging.WARNING, f"an Event could not be made: {error.message}")


def _said(condition: Mapping[str, Any]) -> tuple[Any, ...]:
    return condition["type"], condition.get("status"), condition.get("reason")


def _event(body: Manifest, condition: Mapping[str, Any]) -> Manifest:
    metadata = body["metadata"]
    generation = metadata.get("generation", 0)
    said = "/".join(str(each) for each in (metadata["uid"], generation, *_said(condition)))
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
