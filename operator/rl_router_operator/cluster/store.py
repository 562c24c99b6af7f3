"""What is known of the cluster: every watched object, by the RouterDeployments that it belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic_core import from_json, to_json

from ..objects.manifest import Manifest, Ref
from ..objects.router import Key

_MAXIMUM_DELETIONS = 1024
Keys = Callable[[Manifest], tuple[Key, ...]]
"""Returns which RouterDeployments an object belongs to."""
Changed = Callable[[Key, bool], None]
"""Gets the RouterDeployment of an object that changed, and whether the object is gone."""
_Place = tuple[str, str, str]
"""Kind, namespace and name of an object."""


@dataclass(frozen=True)
class _Entry:
    """An object as JSON, which takes a tenth of the memory. `content` has neither version nor status."""

    version: int
    content: bytes
    status: bytes
    keys: tuple[Key, ...]

    def is_same(self, other: _Entry) -> bool:
        """Returns whether nothing but the version differs."""
        return (self.content, self.status, self.keys) == (other.content, other.status, other.keys)


class Store:
    """Objects by kind, namespace and name; `changed` is called for each RouterDeployment of an object that changed.

    An older version never replaces a newer one or a deletion. So the answer to a write may be stored before or after
    its watch event.
    """

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._entries: dict[_Place, _Entry] = {}
        self._deleted: dict[_Place, int] = {}
        """The versions of the latest deletions."""
        self._places: dict[Key, set[_Place]] = defaultdict(set)

    def put(self, body: Manifest, keys: tuple[Key, ...]) -> None:
        """Stores an object as it is now; without keys it is not kept, as most Events."""
        place, entry = _place(body), _entry(body, keys)
        before = self._entries.get(place)
        if (before and entry.version < before.version) or entry.version < self._deleted.get(place, 0):
            return
        if not keys:
            if before:
                self._remove(place, before)
            return
        self._entries[place] = entry
        if before is None or not before.is_same(entry):
            self._index(place, before, entry)
            self._tell(before, entry)

    def drop(self, body: Manifest) -> None:
        """Removes an object that was deleted, unless a newer one of its name is known."""
        place = _place(body)
        before = self._entries.get(place)
        version = int(body["metadata"].get("resourceVersion") or 0)
        if before and (not version or version >= before.version):
            self._remove(place, before)
        self._remember_deletion(place, version)

    def replace(
        self, kind: str, namespace: str | None, bodies: Iterable[tuple[Manifest, tuple[Key, ...]]], version: int
    ) -> None:
        """Stores a list of all objects of a kind, in a namespace or in all: objects that it lacks are gone."""
        listed = set()
        for body, keys in bodies:
            listed.add(_place(body))
            self.put(body, keys)
        for place in self._places_of(kind, namespace):
            entry = self._entries[place]
            # The list cannot have an object that was written after it.
            if place not in listed and entry.version <= version:
                self._remove(place, entry)
                self._remember_deletion(place, version)

    def clear(self, kind: str, namespace: str | None) -> None:
        """Removes all objects of a kind that the cluster no longer has, in a namespace or in all."""
        for place in self._places_of(kind, namespace):
            self._remove(place, self._entries[place])

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Returns one object as last seen."""
        entry = self._entries.get((kind, namespace, name))
        return _body(entry) if entry else None

    def of(self, key: Key) -> dict[Ref, Manifest]:
        """Returns everything that belongs to a RouterDeployment, by kind and name."""
        return {(place[0], place[2]): _body(self._entries[place]) for place in sorted(self._places.get(key, ()))}

    def contents(self, key: Key, kinds: frozenset[str]) -> tuple[bytes, ...]:
        """Returns a value that differs whenever an object of these kinds differs in more than its status."""
        places = sorted(place for place in self._places.get(key, ()) if place[0] in kinds)
        return tuple(self._entries[place].content for place in places)

    def __contains__(self, key: Key) -> bool:
        """Returns whether anything belongs to the RouterDeployment."""
        return key in self._places

    def __iter__(self) -> Iterator[Key]:
        """Iterates over every RouterDeployment that something belongs to."""
        return iter(set(self._places))

    def __len__(self) -> int:
        return len(self._entries)

    def _places_of(self, kind: str, namespace: str | None) -> list[_Place]:
        return [place for place in self._entries if place[0] == kind and namespace in (None, place[1])]

    def _remember_deletion(self, place: _Place, version: int) -> None:
        """Only an answer that was under way may be older than a deletion, and it is late by a moment."""
        self._deleted[place] = max(version, self._deleted.pop(place, 0))
        if len(self._deleted) > _MAXIMUM_DELETIONS:
            del self._deleted[next(iter(self._deleted))]

    def _remove(self, place: _Place, entry: _Entry) -> None:
        del self._entries[place]
        self._index(place, entry, None)
        self._tell(entry, None)

    def _index(self, place: _Place, before: _Entry | None, after: _Entry | None) -> None:
        for key in before.keys if before else ():
            self._places[key].discard(place)
            if not self._places[key]:
                del self._places[key]
        for key in after.keys if after else ():
            self._places[key].add(place)

    def _tell(self, before: _Entry | None, after: _Entry | None) -> None:
        for key in {*(before.keys if before else ()), *(after.keys if after else ())}:
            self._changed(key, after is None)


def _place(body: Manifest) -> _Place:
    return body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]


def _entry(body: Manifest, keys: tuple[Key, ...]) -> _Entry:
    metadata = dict(body["metadata"])
    version = int(metadata.pop("resourceVersion", 0) or 0)
    # Watches and answers have the two in another order.
    identity: Manifest = {name: body[name] for name in ("apiVersion", "kind") if name in body}
    content: Manifest = {**identity, **body, "metadata": metadata}
    status = content.pop("status", None)
    return _Entry(version, to_json(content), to_json(status), keys)


def _body(entry: _Entry) -> Manifest:
    body: Manifest = from_json(entry.content)
    body["metadata"]["resourceVersion"] = str(entry.version)
    status = from_json(entry.status)
    return body if status is None else {**body, "status": status}
