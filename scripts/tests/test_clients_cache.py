"""The cache keeps the environments of `make clients` between runs."""

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
    """Loads a module of clients/ from its file. With clients/ in sys.path, folders in clients/ would hide packages."""
    spec = spec_from_file_location(f"clients_{name}", ROOT / "clients" / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


caching = load("cache")


class Installer:
    """A fake installation, which writes one file. The attribute `count` is the number of installations."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, home: Path) -> None:
        assert not any(home.iterdir())
        (home / "package").write_text("installed")
        self.count += 1


def interrupt(home: Path) -> None:
    (home / "partial").write_text("package")
    raise KeyboardInterrupt


def set_last_use_to_months_ago(home: Path) -> None:
    last_use = time.time() - MONTHS
    os.utime(home, (last_use, last_use))


@pytest.fixture
def cache(tmp_path: Path):
    writable = caching.Cache(tmp_path / "cache")
    writable.require_writable()
    return writable


@pytest.fixture
def home(cache) -> Path:
    return cache.home("client", [b"lock file"])


def test_the_name_of_an_environment_depends_on_all_its_inputs(cache) -> None:
    keys = {cache.home("client", parts).name for parts in ([b"lock", b"3.11"], [b"lock", b"3.12"], [b"other", b"3.11"])}
    assert len(keys) == 3
    assert cache.home("client", [b"lock", b"3.11"]).name in keys


def test_an_environment_is_installed_once(cache, home: Path) -> None:
    install = Installer()
    cache.ensure(home, install)
    cache.ensure(home, install)
    assert install.count == 1
    assert (home / "package").read_text() == "installed"


def test_an_interrupted_installation_is_repeated_in_an_empty_folder(cache, home: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cache.ensure(home, interrupt)
    install = Installer()
    cache.ensure(home, install)
    assert install.count == 1
    assert not (home / "partial").exists()


def test_an_environment_without_its_interpreter_is_installed_again(cache, home: Path, tmp_path: Path) -> None:
    def install(home: Path) -> None:
        (home / "bin").mkdir()
        (home / "bin" / "python").symlink_to(tmp_path / "python")

    (tmp_path / "python").touch()
    cache.ensure(home, install)
    (tmp_path / "python").unlink()
    second = Installer()
    cache.ensure(home, second)
    assert second.count == 1


def test_a_moved_environment_is_installed_again(cache, home: Path) -> None:
    cache.ensure(home, Installer())
    moved = cache.home("client", [b"another lock file"])
    home.rename(moved)
    install = Installer()
    cache.ensure(moved, install)
    assert install.count == 1


def test_only_one_of_two_parallel_runs_installs_an_environment(tmp_path: Path, home: Path) -> None:
    install, waits = Installer(), Event()

    def install_after_the_other_waits(home: Path) -> None:
        second.start()
        waits.wait()
        install(home)

    second = Thread(target=lambda: caching.Cache(tmp_path / "cache", lambda _: waits.set()).ensure(home, install))
    caching.Cache(tmp_path / "cache").ensure(home, install_after_the_other_waits)
    second.join()
    assert install.count == 1


def test_only_environments_without_lock_file_and_recent_use_are_removed(cache, home: Path) -> None:
    current, recent = home, cache.home("client", [b"last week's lock file"])
    stale = cache.home("client", [b"last year's lock file"])
    for environment in (current, recent, stale):
        cache.ensure(environment, Installer())
    set_last_use_to_months_ago(current)
    set_last_use_to_months_ago(stale)
    cache.remove_stale([current])
    assert (current.exists(), recent.exists(), stale.exists()) == (True, True, False)


def test_an_environment_that_is_used_again_is_not_removed(cache, home: Path) -> None:
    cache.ensure(home, Installer())
    set_last_use_to_months_ago(home)
    cache.ensure(home, Installer())
    cache.remove_stale([])
    assert home.exists()


def test_an_environment_is_not_removed_while_another_run_installs_it(cache, home: Path) -> None:
    def install(home: Path) -> None:
        set_last_use_to_months_ago(home)
        cache.remove_stale([])
        assert home.exists()

    cache.ensure(home, install)


def test_other_folders_are_never_removed(cache, home: Path) -> None:
    other = home.with_name("photographs")
    other.mkdir()
    set_last_use_to_months_ago(other)
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
def test_environment_variables_select_the_cache_folder(environment: dict[str, str], folder: str) -> None:
    assert caching.cache_folder(environment) == Path(folder)


def test_a_cache_folder_that_is_not_writable_is_a_one_line_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = subprocess.run(
        [sys.executable, ROOT / "clients" / "suite.py"], capture_output=True, text=True, check=False,
        env={**os.environ, "CLIENTS_CACHE": str(tmp_path / "file" / "cache")},
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr == (
        f"error: the clients' cache {tmp_path}/file/cache cannot be written: Not a directory. "
        "Set CLIENTS_CACHE to a writable folder\n"
    )
