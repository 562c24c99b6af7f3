"""Several workers of pytest in one cluster: the first makes what all use, and a test that disturbs others is alone."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class Shared:
    """What the workers of one cluster agree on, by locks on files in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder

    def once(self, name: str, make: Callable[[], object]) -> None:
        """Has the first worker call `make`, while the others wait. If it fails, the next one tries."""
        with _locked(self.folder / f"{name}.lock", fcntl.LOCK_EX):
            done = self.folder / f"{name}.done"
            if not done.exists():
                make()
                done.touch()

    @contextmanager
    def held(self, *, alone: bool) -> Iterator[None]:
        """The cluster, beside other tests or alone. Who waits to be alone goes before who comes later."""
        with ExitStack() as held:
            with _locked(self.folder / "queue.lock", fcntl.LOCK_EX):
                kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
                held.enter_context(_locked(self.folder / "cluster.lock", kind))
            yield


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield
