"""What is known of the cluster: every watched object, by the RouterDeployment that it belongs to."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..objects.manifest import Manifest, Ref

_BURIED = 1024
Key = tuple[str, str]
"""(namespace, name) of a RouterDeployment."""
Keys = Callable[[Manifest], tuple[Key, ...]]
"""Which RouterDeployments an object belongs to."""


@dataclass(frozen=True)
class _Entry:
    """An object as JSON, which takes a tenth of the memory; `text` is without its version, so that equal is equal."""

    version: int
    text: bytes
    keys: tuple[Key, ...]


class Cache:
    """Objects by kind, namespace and name; `changed` is called with the key of whatever is no longer as it was.

    An older version never takes the place of a newer one or of a deletion, so the answer to a write may be put here
    before its watch event, or after.
    """

    def __init__(self, changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._gone: dict[tuple[str, str, str], int] = {}
        """The versions at which the latest objects were deleted."""
        self._of: dict[Key, set[tuple[str, str, str]]] = defaultdict(set)
        self._turns: dict[Key, int] = {}
        self._count = itertools.count(1)

    def put(self, body: Manifest, keys: tuple[Key, ...]) -> None:
        """Takes an object as it is now. One that belongs to no RouterDeployment is not kept: most warnings do not."""
        where, entry = _where(body), _entry(body, keys)
        before = self._entries.get(where)
        if (before and entry.version < before.version) or entry.version < self._gone.get(where, 0):
            return
        if not keys:
            if before:
                self._forget(where, before)
            return
        self._entries[where] = entry
        if before is None or (before.text, before.keys) != (entry.text, keys):
            self._index(where, before, entry)
            self._tell(before, entry)

    def drop(self, body: Manifest) -> None:
        """Forgets an object that was deleted, unless a newer one of its name is known."""
        where = _where(body)
        before = self._entries.get(where)
        version = int(body["metadata"].get("resourceVersion") or 0)
        if before and (not version or version >= before.version):
            self._forget(where, before)
            self._bury(where, version)

    def replace(
        self, kind: str, namespace: str | None, bodies: Iterable[tuple[Manifest, tuple[Key, ...]]], version: int
    ) -> None:
        """Takes a list of all objects of a kind, whole or in a namespace: what it lacks is gone."""
        listed = set()
        for body, keys in bodies:
            listed.add(_where(body))
            self.put(body, keys)
        known = [where for where in self._entries if where[0] == kind and namespace in (None, where[1])]
        for where in known:
            entry = self._entries[where]
            # What was written after the list was made is not missing from it.
            if where not in listed and entry.version <= version:
                self._forget(where, entry)

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object as last seen."""
        entry = self._entries.get((kind, namespace, name))
        return _body(entry) if entry else None

    def of(self, key: Key) -> dict[Ref, Manifest]:
        """Everything that belongs to a RouterDeployment, by kind and name."""
        return {(where[0], where[2]): _body(self._entries[where]) for where in sorted(self._of.get(key, ()))}

    def turn(self, key: Key) -> int:
        """A number that is another whenever something that belongs to a RouterDeployment has changed."""
        return self._turns.get(key, 0)

    def keys(self) -> set[Key]:
        """Every RouterDeployment that something belongs to."""
        return set(self._of)

    def __len__(self) -> int:
        return len(self._entries)

    def _bury(self, where: tuple[str, str, str], version: int) -> None:
        """An answer that was under way is a moment late, no more."""
        self._gone.pop(where, None)
        self._gone[where] = version
        if len(self._gone) > _BURIED:
            del self._gone[next(iter(self._gone))]

    def _forget(self, where: tuple[str, str, str], entry: _Entry) -> None:
        del self._entries[where]
        self._index(where, entry, None)
        self._tell(entry, None)

    def _index(self, where: tuple[str, str, str], before: _Entry | None, after: _Entry | None) -> None:
        for key in before.keys if before else ():
            self._of[key].discard(where)
            if not self._of[key]:
                del self._of[key]
        for key in after.keys if after else ():
            self._of[key].add(where)

    def _tell(self, before: _Entry | None, after: _Entry | None) -> None:
        for key in {*(before.keys if before else ()), *(after.keys if after else ())}:
            if key in self._of:
                self._turns[key] = next(self._count)
            else:
                self._turns.pop(key, None)
            self._changed(key)


def _where(body: Manifest) -> tuple[str, str, str]:
    return body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]


def _entry(body: Manifest, keys: tuple[Key, ...]) -> _Entry:
    metadata = dict(body["metadata"])
    version = int(metadata.pop("resourceVersion", 0) or 0)
    text = json.dumps({**body, "metadata": metadata}, separators=(",", ":")).encode()
    return _Entry(version, text, keys)


def _body(entry: _Entry) -> Manifest:
    body: Manifest = json.loads(entry.text)
    body["metadata"]["resourceVersion"] = str(entry.version)
    return body
