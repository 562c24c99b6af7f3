"""Stores the watched objects in memory, with an index from each RouterDeployment to its objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic_core import from_json, to_json

from ..objects.manifest import Manifest, Ref
from ..objects.routerdeployment import Key

_MAXIMUM_DELETIONS = 1024
Keys = Callable[[Manifest], tuple[Key, ...]]
"""A function that returns the keys of the RouterDeployments to which an object belongs."""
OnChange = Callable[[Key, bool], None]
"""A function that receives the key of a changed object's RouterDeployment, and whether the object is gone."""
_ObjectKey = tuple[str, str, str]
"""The kind, the namespace and the name of an object."""


@dataclass(frozen=True)
class _Entry:
    """A stored object as JSON, which needs much less memory than a dict.

    The attribute `content` contains the object without its resourceVersion and its status.
    """

    version: int
    content: bytes
    status: bytes
    keys: tuple[Key, ...]

    def is_same(self, other: _Entry) -> bool:
        """Returns whether two entries are equal apart from their resourceVersions."""
        return (self.content, self.status, self.keys) == (other.content, other.status, other.keys)


class Store:
    """A store of watched objects by kind, namespace and name.

    The function `on_change` is called for each RouterDeployment to which a changed object belongs or belonged. An older
    version of an object does not replace a newer version, and does not restore a recently deleted object. Therefore the
    response to a write may be stored before or after the watch event of the same write.
    """

    def __init__(self, on_change: OnChange) -> None:
        self._on_change = on_change
        self._entries: dict[_ObjectKey, _Entry] = {}
        self._deleted: dict[_ObjectKey, int] = {}
        """The resourceVersions of the latest deletions, by the key of the deleted object."""
        self._object_keys: dict[Key, set[_ObjectKey]] = defaultdict(set)

    def put(self, body: Manifest, keys: tuple[Key, ...]) -> None:
        """Stores an object that belongs to the RouterDeployments `keys`, or drops the object if `keys` is empty.

        For example, the store drops most Events, because most Events belong to no RouterDeployment.
        """
        object_key, entry = _object_key(body), _entry(body, keys)
        before = self._entries.get(object_key)
        if (before and entry.version < before.version) or entry.version < self._deleted.get(object_key, 0):
            return
        if not keys:
            if before:
                self._remove(object_key, before)
            return
        self._entries[object_key] = entry
        if before is None or not before.is_same(entry):
            self._index(object_key, before, entry)
            self._notify(before, entry)

    def drop(self, body: Manifest) -> None:
        """Removes a deleted object, unless the store contains a newer object with the same kind, namespace and name."""
        object_key = _object_key(body)
        before = self._entries.get(object_key)
        version = int(body["metadata"].get("resourceVersion") or 0)
        if before and (not version or version >= before.version):
            self._remove(object_key, before)
        self._remember_deletion(object_key, version)

    def replace(
        self, kind: str, namespace: str | None, bodies: Iterable[tuple[Manifest, tuple[Key, ...]]], version: int
    ) -> None:
        """Stores a complete list of the objects of a kind in one namespace or in all namespaces.

        The method also removes each stored object of the kind in these namespaces if the object is neither in the list
        nor newer than the list.
        """
        listed = set()
        for body, keys in bodies:
            listed.add(_object_key(body))
            self.put(body, keys)
        for object_key in self._keys_of_kind(kind, namespace):
            entry = self._entries[object_key]
            # An object that was written after the list was read cannot be in the list, so it stays.
            if object_key not in listed and entry.version <= version:
                self._remove(object_key, entry)
                self._remember_deletion(object_key, version)

    def clear(self, kind: str, namespace: str | None) -> None:
        """Removes all objects of a kind in one or all namespaces, because the cluster no longer has the kind."""
        for object_key in self._keys_of_kind(kind, namespace):
            self._remove(object_key, self._entries[object_key])

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Returns the last observed state of an object, or None if the object is not in the store."""
        entry = self._entries.get((kind, namespace, name))
        return _body(entry) if entry else None

    def of(self, key: Key) -> dict[Ref, Manifest]:
        """Returns the objects that belong to a RouterDeployment, by kind and name."""
        object_keys = sorted(self._object_keys.get(key, ()))
        return {(kind, name): _body(self._entries[kind, namespace, name]) for kind, namespace, name in object_keys}

    def contents(self, key: Key, kinds: frozenset[str]) -> tuple[bytes, ...]:
        """Returns a RouterDeployment's objects of the given kinds as JSON, without status and resourceVersion."""
        object_keys = sorted(object_key for object_key in self._object_keys.get(key, ()) if object_key[0] in kinds)
        return tuple(self._entries[object_key].content for object_key in object_keys)

    def __contains__(self, key: Key) -> bool:
        """Returns whether the store contains an object that belongs to the RouterDeployment with the key `key`."""
        return key in self._object_keys

    def __iter__(self) -> Iterator[Key]:
        """Iterates over the keys of the RouterDeployments to which stored objects belong."""
        return iter(set(self._object_keys))

    def __len__(self) -> int:
        return len(self._entries)

    def _keys_of_kind(self, kind: str, namespace: str | None) -> list[_ObjectKey]:
        return [
            object_key for object_key in self._entries if object_key[0] == kind and namespace in (None, object_key[1])
        ]

    def _remember_deletion(self, object_key: _ObjectKey, version: int) -> None:
        """Records the deletion of an object, and drops the oldest record if more than 1,024 records exist.

        Old records are not needed, because outdated responses about a deleted object arrive soon after the deletion.
        """
        self._deleted[object_key] = max(version, self._deleted.pop(object_key, 0))
        if len(self._deleted) > _MAXIMUM_DELETIONS:
            del self._deleted[next(iter(self._deleted))]

    def _remove(self, object_key: _ObjectKey, entry: _Entry) -> None:
        del self._entries[object_key]
        self._index(object_key, entry, None)
        self._notify(entry, None)

    def _index(self, object_key: _ObjectKey, before: _Entry | None, after: _Entry | None) -> None:
        for key in before.keys if before else ():
            self._object_keys[key].discard(object_key)
            if not self._object_keys[key]:
                del self._object_keys[key]
        for key in after.keys if after else ():
            self._object_keys[key].add(object_key)

    def _notify(self, before: _Entry | None, after: _Entry | None) -> None:
        for key in {*(before.keys if before else ()), *(after.keys if after else ())}:
            self._on_change(key, after is None)


def _object_key(body: Manifest) -> _ObjectKey:
    return body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]


def _entry(body: Manifest, keys: tuple[Key, ...]) -> _Entry:
    metadata = dict(body["metadata"])
    version = int(metadata.pop("resourceVersion", 0) or 0)
    # Watch events and responses contain apiVersion and kind in different orders, so both fields are put first.
    identity: Manifest = {name: body[name] for name in ("apiVersion", "kind") if name in body}
    content: Manifest = {**identity, **body, "metadata": metadata}
    status = content.pop("status", None)
    return _Entry(version, to_json(content), to_json(status), keys)


def _body(entry: _Entry) -> Manifest:
    body: Manifest = from_json(entry.content)
    body["metadata"]["resourceVersion"] = str(entry.version)
    status = from_json(entry.status)
    return body if status is None else {**body, "status": status}
