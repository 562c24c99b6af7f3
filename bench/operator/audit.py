"""What the operator asked of the API server, from the API server's own audit log."""

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
    """The audit policy that notes every answer to `user`, and nothing else."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata", "users": [user]}, {"level": "None"}],
    }


@dataclass(frozen=True)
class Request:
    """One that was answered; `at` is when, in seconds since 1970."""

    verb: str
    resource: str
    status: int
    at: float

    @property
    def is_create(self) -> bool:
        """Whether it made an object, by whatever verb, other than an Event."""
        return self.status == 201 and self.resource != "events"

    @property
    def is_write(self) -> bool:
        """Whether it wrote anything but the Lease."""
        return self.verb in WRITES and self.resource != "leases"


class Audit:
    """Reads on where it stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.requests: list[Request] = []

    def read(self) -> list[Request]:
        """All requests so far."""
        if self._path.exists():
            with self._path.open("rb") as log:
                log.seek(self._read)
                new = log.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read += len(whole)
            self.requests += _parsed(whole)
        return self.requests

    def since(self, at: float) -> list[Request]:
        """Those answered later than a moment."""
        return [each for each in self.read() if each.at > at]


def by_verb(requests: list[Request]) -> Counter[str]:
    """How many of each verb; an Event and a status are told apart from the rest."""
    return Counter(_called(each) for each in requests if each.resource != "leases")


def _called(request: Request) -> str:
    if request.resource == "events" and request.verb == "create":
        return "Events"
    return "status" if request.resource.endswith("/status") else request.verb


def _parsed(lines: bytes) -> Iterator[Request]:
    for line in lines.splitlines():
        entry = json.loads(line)
        about = entry.get("objectRef") or {}
        resource = "/".join(filter(None, (about.get("resource", ""), about.get("subresource", ""))))
        at = datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
        yield Request(entry["verb"], resource, int(entry["responseStatus"]["code"]), at)
