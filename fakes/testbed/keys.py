"""Writes keys files. A keys file contains the name of each client and the hash of the client's API key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from rl_router_api.access.keys import new_key

from fakes.upstreams.exchange import Body


def bearer(key: str) -> dict[str, str]:
    """Returns the HTTP header Authorization with the API key `key`."""
    return {"Authorization": f"Bearer {key}"}


class KeysFile:
    """A keys file. The attribute `keys` maps each client's name to the API key, even after a removal of the client."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: dict[str, str] = {}
        self._entries: list[Body] = []

    def add(self, name: str, **limits: Any) -> str:
        """Adds a client with a new API key to the keys file, and returns the API key."""
        key, entry = new_key(name)
        self.keys[name] = key
        self._entries += [{**yaml.safe_load(entry)[0], **limits}]
        self.write()
        return key

    def remove(self, name: str) -> None:
        self._entries = [entry for entry in self._entries if entry["name"] != name]
        self.write()

    def write(self, text: str | None = None) -> None:
        """Writes `text` to the keys file, or the entries of all current clients if `text` is None."""
        self.path.write_text(yaml.safe_dump(self._entries) if text is None else text)

    def make_invalid(self) -> None:
        """Makes the keys file invalid. The only entry of the invalid keys file has no hash."""
        self.write("- {name: nobody}")


class ProtectedConfiguration(KeysFile):
    """A keys file with one API key, and a configuration that requires an API key of this keys file."""

    def __init__(self, path: Path, configuration: Body) -> None:
        super().__init__(path)
        self.key = self.add("somebody")
        self.configuration: Body = {**configuration, "server": {"api_keys_file": str(path)}}

    def without_server(self) -> str:
        """Returns the sections `router` and `targets` of the configuration as YAML."""
        return str(yaml.safe_dump({name: self.configuration[name] for name in ("router", "targets")}))
