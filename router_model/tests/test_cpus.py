"""The number of threads is the number of cores that the process may use, with either cgroup version."""

from pathlib import Path

import pytest
from rl_router_model.cpus import available


def machine(root: Path, membership: str, files: dict[str, str]) -> Path:
    """Writes the files that the kernel would show, and returns their root folder."""
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v1(group: str, quota: int) -> dict[str, str]:
    folder = f"sys/fs/cgroup/cpu,cpuacct/{group}"
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


def test_without_a_limit_the_affinity_decides(tmp_path: Path) -> None:
    assert available(tmp_path, affinity=6) == 6


@pytest.mark.parametrize(("quota", "cores"), [(100_000, 1), (250_000, 2), (50_000, 1), (-1, 8), (3_200_000, 8)])
def test_cgroup_v1_limits_by_quota_and_period(tmp_path: Path, quota: int, cores: int) -> None:
    root = machine(tmp_path, "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n", v1("docker/abc", quota))
    assert available(root, affinity=8) == cores


def test_cgroup_v1_in_a_container_with_only_its_own_group_mounted(tmp_path: Path) -> None:
    root = machine(tmp_path, "4:cpu,cpuacct:/kubepods/pod1/c1\n", v1("", 100_000))
    assert available(root, affinity=2) == 1


@pytest.mark.parametrize(("limit", "cores"), [("200000 100000", 2), ("max 100000", 8), ("10000 100000", 1)])
def test_cgroup_v2_limits_by_cpu_max(tmp_path: Path, limit: str, cores: int) -> None:
    root = machine(tmp_path, "0::/user/pod\n", {"sys/fs/cgroup/user/pod/cpu.max": f"{limit}\n"})
    assert available(root, affinity=8) == cores


def test_the_lowest_limit_of_the_ancestors_decides(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/a/cpu.max": "300000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}
    assert available(machine(tmp_path, "0::/a/b\n", files), affinity=8) == 3


def test_damaged_files_set_no_limit(tmp_path: Path) -> None:
    assert available(machine(tmp_path, "0::/a\n", {"sys/fs/cgroup/a/cpu.max": "soon\n"}), affinity=4) == 4
