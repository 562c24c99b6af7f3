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

    The folder itself may be an artefact. The list is empty if the folder has no artefact or cannot be read.
    """
    try:
        folders = [folder, *[each for each in folder.iterdir() if not each.name.startswith(".")]]
        manifests = [file for each in folders if (file := each / MANIFEST).is_file()]
        ordered = sorted(manifests, key=lambda file: (file.stat().st_mtime_ns, file), reverse=True)
        return [(manifest.parent, _files(manifest.parent)) for manifest in ordered]
    except OSError:
        return []


def _files(folder: Path) -> tuple[tuple[str, int, int], ...]:
    stats = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    return tuple([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
