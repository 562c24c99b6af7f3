"""Selects the current warning Events about a Kubernetes object."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ..objects.manifest import Manifest
from .words import quote

_WINDOW = timedelta(minutes=5)
"""The maximum time from a current warning to the latest warning about the object with one of the requested reasons.

The kubelet repeats a warning about a volume about every two minutes as long as the cause of the warning persists.
"""


def warnings(events: Iterable[Manifest], kind: str, about: Manifest, *reasons: str) -> list[str]:
    """Returns the messages of the current warnings about the object `about` with one of the reasons `reasons`.

    The messages are sorted and contain no duplicates.
    """
    matches = [event for event in events if event.get("reason") in reasons and _is_about(event, kind, about)]
    latest = max((last_seen(event) for event in matches), default=None)
    return sorted({quote(event.get("message")) for event in matches if latest and latest - last_seen(event) <= _WINDOW})


def last_seen(event: Manifest) -> datetime:
    """Returns the time at which the Event last occurred, or the creation time if the Event contains no such time."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return time_of(next((time for time in times if time), event["metadata"]["creationTimestamp"]))


def time_of(text: str) -> datetime:
    """Returns the time in the text `text`, which is a timestamp of a Kubernetes object."""
    return datetime.fromisoformat(text)


def _is_about(event: Manifest, kind: str, about: Manifest) -> bool:
    """Returns whether an Event is about the object `about` of the kind `kind`.

    If the Event contains the uid of an object, the object `about` must have the same uid, because a StatefulSet gives
    new pods the names of earlier pods.
    """
    involved, metadata = event["involvedObject"], about["metadata"]
    uids = (metadata.get("uid"), None, "")
    return (involved.get("kind"), involved.get("name")) == (kind, metadata["name"]) and involved.get("uid") in uids
