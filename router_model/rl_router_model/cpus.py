"""Counts the CPU cores that this process may use.

With more threads than cores, llama.cpp is many times slower than with one thread for each core, because waiting threads
keep the cores busy.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

LimitOf = Callable[[Path], tuple[int, int]]


def available(root: Path = Path("/"), affinity: int | None = None) -> int:
    """Returns how many whole cores the CPU affinity and all cgroup limits under `root` allow, but at least 1."""
    cores = len(os.sched_getaffinity(0)) if affinity is None else affinity
    return max(1, int(min([cores, *_limits(root)])))


def _limits(root: Path) -> Iterator[float]:
    mounts = root / "sys/fs/cgroup"
    for controllers, path in _memberships(root):
        if not controllers:
            for mount in (mounts, mounts / "unified"):
                yield from _read_ancestors(mount, path, _limit_v2)
        elif "cpu" in controllers.split(","):
            for mount in {mounts / "cpu", mounts / controllers}:
                yield from _read_ancestors(mount, path, _limit_v1)


def _memberships(root: Path) -> Iterator[tuple[str, PurePosixPath]]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        yield controllers, PurePosixPath(path)


def _read_ancestors(mount: Path, path: PurePosixPath, limit_of: LimitOf) -> Iterator[float]:
    # In a container, /proc may show the cgroup's path on the host, although only the container's own cgroup is mounted.
    # Therefore the limits of all ancestors of the cgroup are read. An ancestor that does not exist sets no limit.
    inside = PurePosixPath(*(part for part in path.parts if part not in ("/", "..")))
    for group in (inside, *inside.parents):
        try:
            quota, period = limit_of(mount / group)
        except (OSError, ValueError):
            continue
        if quota > 0 and period > 0:
            yield quota / period


def _limit_v1(group: Path) -> tuple[int, int]:
    return int((group / "cpu.cfs_quota_us").read_text()), int((group / "cpu.cfs_period_us").read_text())


def _limit_v2(group: Path) -> tuple[int, int]:
    quota, period = (group / "cpu.max").read_text().split()
    return int(quota), int(period)
