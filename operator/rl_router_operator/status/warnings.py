"""Selects the current warnings (core Events) about an object."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ..objects.manifest import Manifest
from .words import quote

_WINDOW = timedelta(minutes=5)
"""A warning that is older than the latest one by this time is over. The kubelet repeats warnings every two minutes."""


def warnings(events: Iterable[Manifest], kind: str, about: Manifest, *reasons: str) -> list[str]:
    """Returns the messages of the current warnings about an object for any of the reasons, sorted, each once."""
    matches = [event for event in events if event.get("reason") in reasons and _is_about(event, kind, about)]
    latest = max((last_seen(event) for event in matches), default=None)
    return sorted({quote(event.get("message")) for event in matches if latest and latest - last_seen(event) <= _WINDOW})


def last_seen(event: Manifest) -> datetime:
    """Returns the time at which the Event last occurred."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return time_of(next((time for time in times if time), event["metadata"]["creationTimestamp"]))


def time_of(text: str) -> datetime:
    """Parses a time in the format of the API server."""
    return datetime.fromisoformat(text)


def _is_about(event: Manifest, kind: str, about: Manifest) -> bool:
    """Returns whether an Event is about the object. If it has a uid, that must match: StatefulSets reuse pod names."""
    involved, metadata = event["involvedObject"], about["metadata"]
    uids = (metadata.get("uid"), None, "")
    return (involved.get("kind"), involved.get("name")) == (kind, metadata["name"]) and involved.get("uid") in uids
