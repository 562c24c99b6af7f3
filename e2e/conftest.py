"""Installs one release for all tests of a cluster, and creates a namespace for each test.

Saves failures in e2e/results/.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kind
import namespaces
import pytest
import xdist
from cluster import Cluster, Namespace
from in_cluster_client import Client
from objects import client as client_pod
from release import CLUSTERS, SHARED, Release, installed
from xdist.scheduler import LoadScopeScheduling

SERIAL = ("e2e/serial/", "e2e/test_vllm.py", "e2e/test_readme_and_install_guide.py", "e2e/test_ipv6_cluster.py")
"""The path prefixes of groups of tests. One worker runs all tests of a group in sequence."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Removes the dumps of an earlier run."""
    if not xdist.is_xdist_worker(session):
        shutil.rmtree(namespaces.RESULTS, ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Uninstalls the release from an existing cluster, or deletes the clusters that the tests created."""
    if xdist.is_xdist_worker(session) or session.config.option.collectonly:
        return
    if cluster := kind.existing():
        Release(cluster).uninstall()
    elif shutil.which("kind"):
        for name in CLUSTERS:
            kind.delete(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the groups of tests to the front, because they take longest."""
    items.sort(key=lambda item: _group(item.nodeid) == item.nodeid)


class _Scheduler(LoadScopeScheduling):
    """A scheduler of pytest-xdist that assigns whole groups of tests to workers."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Implements pytest-xdist's hook that selects the scheduler of the tests."""
    return _Scheduler(config, log)


def _group(nodeid: str) -> str:
    """Returns the group of a test: a prefix in `SERIAL`, otherwise the test itself."""
    return next((prefix for prefix in SERIAL if nodeid.startswith(prefix)), nodeid)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Returns a temporary folder that all workers share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def chart(folder: Path) -> Release:
    """Returns the release in the cluster whose tests run in parallel."""
    return installed(SHARED, folder)


@pytest.fixture
def operator(chart: Release) -> Release:
    """Returns the release with its default values, and restores them if an earlier test changed them."""
    chart.restore()
    return chart


@pytest.fixture
def cluster(operator: Release) -> Cluster:
    """Returns the cluster of the release."""
    return operator.cluster


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """Yields a new namespace for the test."""
    with namespaces.created(cluster, request.node) as namespace:
        yield namespace


@pytest.fixture
def client(namespace: Namespace) -> Client:
    """Returns a client pod in the test's namespace."""
    namespace.apply(client_pod())
    namespace.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
    return Client(namespace)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Stores whether the test failed, because the fixtures dump the namespace of a failed test."""
    report = yield
    for node in item.listchain():
        node.stash[namespaces.FAILED] = node.stash.get(namespaces.FAILED, False) or report.failed
    return report
