"""The two revisions of `--against`: the code that each interpreter runs, and the removal of the older one."""

import subprocess
import sys
from pathlib import Path

import pytest
from revisions import Revision, imported_from, old_and_new

# Replaces scripts/environment.py. It creates an environment whose only package is the one in the revision's folder.
ENVIRONMENT = """
import sys, venv
from pathlib import Path

venv.create(".venv")
(packages,) = Path(".venv").glob("lib/python3*/site-packages")
(packages / "editable.pth").write_text(str(Path.cwd()))
"""


def git(repository: Path, *words: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True)


def commit(repository: Path, environment: str, answer: str) -> None:
    (repository / "measured").mkdir(exist_ok=True)
    (repository / "scripts").mkdir(exist_ok=True)
    (repository / "measured/__init__.py").write_text(f"ANSWER = {answer!r}\n")
    (repository / "scripts/environment.py").write_text(environment)
    git(repository, "add", "measured", "scripts")
    git(repository, "commit", "-m", answer)


@pytest.fixture
def new(tmp_path: Path) -> Revision:
    """A repository with two commits. Its working tree has its own environment and uncommitted changes."""
    repository = (tmp_path / "repository").resolve()
    repository.mkdir()
    git(repository, "init")
    commit(repository, ENVIRONMENT, "first")
    commit(repository, ENVIRONMENT, "second")
    subprocess.run([sys.executable, "scripts/environment.py"], cwd=repository, check=True)
    (repository / "measured/__init__.py").write_text("ANSWER = 'changed'\n")
    return Revision("new", "the working tree", repository, str(repository / ".venv/bin/python"))


def answer(revision: Revision) -> str:
    command = [revision.python, "-c", "import measured; print(measured.ANSWER)"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def test_each_interpreter_runs_the_code_of_its_own_revision(new: Revision) -> None:
    with old_and_new("HEAD~1", "measured", new) as pair:
        assert [answer(revision) for revision in pair] == ["first", "changed"]


def test_each_interpreter_imports_from_the_folder_of_its_own_revision(new: Revision) -> None:
    with old_and_new("HEAD", "measured", new) as pair:
        assert [imported_from(revision, "measured") for revision in pair] == [
            revision.folder / "measured" for revision in pair
        ]
        assert pair[0].folder != pair[1].folder


def test_the_old_revision_is_named_with_its_hash(new: Revision) -> None:
    with old_and_new("HEAD", "measured", new) as (old, _):
        assert old.title.startswith("HEAD (")


def test_nothing_remains_of_the_old_revision_after_ctrl_c(new: Revision) -> None:
    def interrupt() -> None:
        with old_and_new("HEAD", "measured", new) as (old, _):
            folders.append(old.folder)
            raise KeyboardInterrupt

    folders: list[Path] = []
    with pytest.raises(KeyboardInterrupt):
        interrupt()

    assert not folders[0].exists()
    assert not (new.folder / ".git/worktrees").exists()


def test_an_unknown_revision_is_an_error_that_names_it(new: Revision) -> None:
    with pytest.raises(SystemExit, match="--against no-such-tag: unknown git revision"):
        old_and_new("no-such-tag", "measured", new).__enter__()


def test_a_revision_whose_environment_fails_is_an_error(new: Revision) -> None:
    commit(new.folder, "raise SystemExit(1)", "without an environment")

    with pytest.raises(SystemExit, match=r"--against HEAD: scripts/environment\.py failed"):
        old_and_new("HEAD", "measured", new).__enter__()


def test_a_pythonpath_that_hides_the_old_revision_is_an_error(new: Revision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(new.folder))

    with pytest.raises(SystemExit, match=r"imports measured from .*Remove other copies of measured from PYTHONPATH"):
        old_and_new("HEAD", "measured", new).__enter__()
