"""Warnings about an object that are still repeated."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ..objects.manifest import Manifest
from .words import quote

_WINDOW = timedelta(minutes=5)
"""A kubelet repeats what it still cannot do every two minutes; what it said long before its last word is over."""


def warnings(events: Iterable[Manifest], kind: str, about: Manifest, *reasons: str) -> list[str]:
    """The different words about an object of the kind for one of the reasons, the latest minutes' in a fixed order."""
    found = [each for each in events if each.get("reason") in reasons and _is_about(each, kind, about)]
    latest = max((last_seen(each) for each in found), default=None)
    return sorted({quote(each.get("message")) for each in found if latest and latest - last_seen(each) <= _WINDOW})


def last_seen(event: Manifest) -> datetime:
    """When it was said last."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return time_of(next((each for each in times if each), event["metadata"]["creationTimestamp"]))


def time_of(text: str) -> datetime:
    """A time as the API server writes it."""
    return datetime.fromisoformat(text)


def _is_about(event: Manifest, kind: str, about: Manifest) -> bool:
    """By the uid where the event has one: a StatefulSet's pods follow each other under one name."""
    involved, metadata = event["involvedObject"], about["metadata"]
    uids = (metadata.get("uid"), None, "")
    return (involved.get("kind"), involved.get("name")) == (kind, metadata["name"]) and involved.get("uid") in uids
