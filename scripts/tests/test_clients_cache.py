"""The cache that keeps the environments of `make clients` from run to run."""

import os
import subprocess
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Event, Thread
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MONTHS = 60 * 24 * 3600.0


def load(name: str) -> ModuleType:
    """A module of clients/, which stays off the path: its folders have the names of packages."""
    spec = spec_from_file_location(f"clients_{name}", ROOT / "clients" / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


caching = load("cache")


class Installer:
    """Installs one file, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, home: Path) -> None:
        assert not any(home.iterdir())
        (home / "package").write_text("installed")
        self.count += 1


def interrupted(home: Path) -> None:
    (home / "half").write_text("of a package")
    raise KeyboardInterrupt


def unused_for_months(home: Path) -> None:
    then = time.time() - MONTHS
    os.utime(home, (then, then))


@pytest.fixture
def cache(tmp_path: Path):
    made = caching.Cache(tmp_path / "cache")
    made.require_writable()
    return made


@pytest.fixture
def home(cache) -> Path:
    return cache.home("client", [b"lock file"])


def test_the_key_follows_from_everything_that_decides_the_contents(cache) -> None:
    keys = {cache.home("client", parts).name for parts in ([b"lock", b"3.11"], [b"lock", b"3.12"], [b"other", b"3.11"])}
    assert len(keys) == 3
    assert cache.home("client", [b"lock", b"3.11"]).name in keys


def test_an_environment_is_installed_once(cache, home: Path) -> None:
    install = Installer()
    cache.ensure(home, install)
    cache.ensure(home, install)
    assert install.count == 1
    assert (home / "package").read_text() == "installed"


def test_an_interrupted_installation_is_made_again_from_nothing(cache, home: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cache.ensure(home, interrupted)
    install = Installer()
    cache.ensure(home, install)
    assert install.count == 1
    assert not (home / "half").exists()


def test_an_environment_whose_interpreter_is_gone_is_made_again(cache, home: Path, tmp_path: Path) -> None:
    def install(home: Path) -> None:
        (home / "bin").mkdir()
        (home / "bin" / "python").symlink_to(tmp_path / "python")

    (tmp_path / "python").touch()
    cache.ensure(home, install)
    (tmp_path / "python").unlink()
    again = Installer()
    cache.ensure(home, again)
    assert again.count == 1


def test_an_environment_that_was_moved_is_made_again(cache, home: Path) -> None:
    cache.ensure(home, Installer())
    moved = cache.home("client", [b"another lock file"])
    home.rename(moved)
    install = Installer()
    cache.ensure(moved, install)
    assert install.count == 1


def test_of_two_runs_at_once_one_installs_and_both_get_the_environment(tmp_path: Path, home: Path) -> None:
    install, waits = Installer(), Event()

    def install_until_the_other_waits(home: Path) -> None:
        second.start()
        waits.wait()
        install(home)

    second = Thread(target=lambda: caching.Cache(tmp_path / "cache", lambda _: waits.set()).ensure(home, install))
    caching.Cache(tmp_path / "cache").ensure(home, install_until_the_other_waits)
    second.join()
    assert install.count == 1


def test_only_what_no_lock_file_names_and_no_run_used_for_months_is_removed(cache, home: Path) -> None:
    current, recent = home, cache.home("client", [b"last week's lock file"])
    stale = cache.home("client", [b"last year's lock file"])
    for each in (current, recent, stale):
        cache.ensure(each, Installer())
    unused_for_months(current)
    unused_for_months(stale)
    cache.remove_stale([current])
    assert (current.exists(), recent.exists(), stale.exists()) == (True, True, False)


def test_an_environment_that_is_used_again_is_not_stale(cache, home: Path) -> None:
    cache.ensure(home, Installer())
    unused_for_months(home)
    cache.ensure(home, Installer())
    cache.remove_stale([])
    assert home.exists()


def test_an_environment_that_another_run_installs_is_not_removed(cache, home: Path) -> None:
    def install(home: Path) -> None:
        unused_for_months(home)
        cache.remove_stale([])
        assert home.exists()

    cache.ensure(home, install)


def test_other_folders_are_never_removed(cache, home: Path) -> None:
    other = home.with_name("photographs")
    other.mkdir()
    unused_for_months(other)
    cache.remove_stale([])
    assert other.exists()


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"CLIENTS_CACHE": "/elsewhere", "XDG_CACHE_HOME": "/caches"}, "/elsewhere"),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/rl-router/clients"),
        ({"CLIENTS_CACHE": "", "XDG_CACHE_HOME": ""}, str(Path.home() / ".cache/rl-router/clients")),
    ],
)
def test_the_folder_is_the_one_that_the_environment_selects(environment: dict[str, str], folder: str) -> None:
    assert caching.folder_named_by(environment) == Path(folder)


def test_a_folder_that_cannot_be_written_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, ROOT / "clients" / "suite.py"], capture_output=True, text=True, check=False,
        env={**os.environ, "CLIENTS_CACHE": str(tmp_path / "file" / "cache")},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        f"error: the clients' cache {tmp_path}/file/cache cannot be written: Not a directory. "
        "Set CLIENTS_CACHE to a folder that can be written\n"
    )
