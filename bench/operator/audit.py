"""Reads the requests of the operator or of the bare client from the API server's audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete"})


def policy(user: str) -> dict[str, Any]:
    """Returns an audit policy with which the API server logs only the completed requests of `user`."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata", "users": [user]}, {"level": "None"}],
    }


@dataclass(frozen=True)
class Request:
    """A completed request in the audit log. `at` is the time of the response, in seconds since 1970."""

    verb: str
    resource: str
    status: int
    at: float

    @property
    def is_create(self) -> bool:
        """Returns whether the request, which may be a server-side apply, created an object other than an Event."""
        return self.status == 201 and self.resource != "events"

    @property
    def is_write(self) -> bool:
        """Returns whether the request was a write to an object other than a Lease."""
        return self.verb in WRITES and self.resource != "leases"


class Audit:
    """The audit log. Each call of `read()` parses only the lines that were added since the previous call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.requests: list[Request] = []

    def read(self) -> list[Request]:
        """Returns all requests that the audit log contains so far."""
        if self._path.exists():
            with self._path.open("rb") as log:
                log.seek(self._offset)
                new = log.read()
            lines = new[: new.rfind(b"\n") + 1]
            self._offset += len(lines)
            self.requests += _parsed(lines)
        return self.requests

    def since(self, at: float) -> list[Request]:
        """Returns the requests that were completed after `at`, in seconds since 1970."""
        return [request for request in self.read() if request.at > at]


def by_verb(requests: list[Request]) -> Counter[str]:
    """Returns the number of requests for each verb, without the requests for Leases.

    The key `Events` counts the creations of Events, and the key `status` counts the requests for the subresource
    `status`. The other keys do not include these requests.
    """
    return Counter(_name(request) for request in requests if request.resource != "leases")


def _name(request: Request) -> str:
    if request.resource == "events" and request.verb == "create":
        return "Events"
    return "status" if request.resource.endswith("/status") else request.verb


def _parsed(lines: bytes) -> Iterator[Request]:
    for line in lines.splitlines():
        entry = json.loads(line)
        reference = entry.get("objectRef") or {}
        resource = "/".join(filter(None, (reference.get("resource", ""), reference.get("subresource", ""))))
        at = datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
        yield Request(entry["verb"], resource, int(entry["responseStatus"]["code"]), at)
