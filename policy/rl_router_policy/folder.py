"""Finds the artefacts in a folder, without reading their content."""

from __future__ import annotations

from pathlib import Path

MANIFEST = "manifest.json"
BUNDLED = Path(__file__).parent / "bundled"
"""The folder with the artefact and the word embedding that RL Router contains."""

Version = tuple[Path, tuple[tuple[str, int, int], ...]]
"""The folder of an artefact, and the name, the size and the modification time of each file in the folder."""


def named(name: str) -> Path:
    """Returns a folder of artefacts: `BUNDLED` for the name `bundled`, and otherwise the path `name`."""
    return BUNDLED if name == "bundled" else Path(name)


def newest_first(folder: Path) -> list[Version]:
    """Returns the artefacts in a folder, sorted by the modification time of the manifest, newest first.

    The folder itself may be an artefact. The list is empty if the folder has no artefact or cannot be read. The list
    does not contain an artefact in a subfolder that cannot be read or that has a name with a dot at the beginning.
    """
    folders = [folder, *[each for each in _entries(folder) if not each.name.startswith(".")]]
    found = [(each, files) for each in folders if MANIFEST in (files := _files(each))]
    ordered = sorted(found, key=lambda pair: (pair[1][MANIFEST][1], pair[0]), reverse=True)
    return [(each, tuple([(name, *stat) for name, stat in files.items()])) for each, files in ordered]


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns the size and the modification time of each file in a folder, by the name of the file."""
    stats = {file.name: _stat(file) for file in _entries(folder)}
    return {name: stat for name, stat in stats.items() if stat is not None}


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):
        return []


def _stat(file: Path) -> tuple[int, int] | None:
    """Returns the size and the modification time, or None for a file that was removed or cannot be read."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
