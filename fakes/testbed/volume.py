"""Creates a folder with the same symbolic links as a volume that Kubernetes mounts."""

from __future__ import annotations

import shutil
from pathlib import Path


class Volume:
    """A folder like the volume in which the kubelet mounts a ConfigMap or a Secret.

    Each file in the folder is a symbolic link to a file in `..data`. `..data` itself is a symbolic link to the folder
    with the files of the last update. An update replaces the symbolic link `..data` atomically.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._updates = 0
        folder.mkdir()

    def __truediv__(self, name: str) -> Path:
        return self._folder / name

    def update(self, **files: str) -> None:
        """Replaces all files in the folder.

        The parameter `files` maps the names of the files to the texts of the files.
        """
        self._updates += 1
        fresh = self._folder / f"..2026_01_01_00_00_00.{self._updates}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        link = self._folder / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(self._folder / "..data")
        self._link(files)
        for old in [path for path in self._folder.iterdir() if path.is_dir() and not path.is_symlink()]:
            if old != fresh:
                shutil.rmtree(old)

    def _link(self, files: dict[str, str]) -> None:
        links = [path for path in self._folder.iterdir() if path.is_symlink() and path.name != "..data"]
        for link in links:
            if link.name not in files:
                link.unlink()
        for name in files:
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(f"..data/{name}")
