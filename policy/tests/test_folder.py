"""Which artefacts a folder contains, and in which order."""

import os
from pathlib import Path

import pytest
from rl_router_policy.folder import newest_first

from fakes.policy.artefacts import write_artefact


def written(folder: Path, seconds: int) -> Path:
    write_artefact(folder, {"alpha": 0.5})
    os.utime(folder / "manifest.json", (seconds, seconds))
    return folder


def folders(of: Path) -> list[str]:
    return [folder.name for folder, _ in newest_first(of)]


def test_the_artefact_with_the_newest_manifest_comes_first(tmp_path: Path) -> None:
    for name, seconds in (("a", 100), ("b", 300), ("c", 200), (".partial", 400)):
        written(tmp_path / name, seconds)
    (tmp_path / "no artefact").mkdir()
    (tmp_path / "file").write_text("")
    assert folders(tmp_path) == ["b", "c", "a"]


def test_a_folder_may_be_an_artefact(tmp_path: Path) -> None:
    assert folders(written(tmp_path / "a", 100)) == ["a"]


@pytest.mark.parametrize("name", ["nowhere", "file", "x" * 5_000, "\0"])
def test_a_path_that_is_no_folder_has_no_artefact(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    assert newest_first(tmp_path / name) == []


def test_a_folder_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    written(tmp_path / "a", 100)
    (written(tmp_path / "b", 200) / "lost").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert folders(tmp_path) == ["b", "a"]


def test_a_changed_file_is_another_version(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", 100)
    before = newest_first(folder)
    (folder / "policy.safetensors").write_bytes(b"")
    assert newest_first(folder) != before
