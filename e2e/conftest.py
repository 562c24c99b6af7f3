"""One release in a cluster that tests share, one namespace a test; failures are dumped into e2e/results/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kind
import namespaces
import pytest
import xdist
from asking import Client
from cluster import Cluster, Namespace
from objects import client as client_pod
from release import BUSY, CLUSTERS, Release, installed
from xdist.scheduler import LoadScopeScheduling

IN_TURN = ("e2e/alone/", "e2e/test_vllm.py", "e2e/test_readme.py")
"""What one worker runs from its first test to its last."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """What an earlier run left is not taken for this one's."""
    if not xdist.is_xdist_worker(session):
        shutil.rmtree(namespaces.RESULTS, ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Removes what all workers used."""
    if xdist.is_xdist_worker(session) or session.config.option.collectonly:
        return
    if cluster := kind.given():
        Release(cluster).uninstall()
    elif shutil.which("kind"):
        for name in CLUSTERS:
            kind.delete(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins: nothing else is left to wait for at the end."""
    items.sort(key=lambda item: _unit(item.nodeid) == item.nodeid)


class _Scheduler(LoadScopeScheduling):
    """Gives the workers one unit after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return _unit(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """As xdist documents it."""
    return _Scheduler(config, log)


def _unit(nodeid: str) -> str:
    """What one worker runs: a single test, or those that are run in turn."""
    return next((each for each in IN_TURN if nodeid.startswith(each)), nodeid)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One for all workers."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def chart(folder: Path) -> Release:
    """The release in the cluster that most tests use, several at a time."""
    return installed(BUSY, folder)


@pytest.fixture
def operator(chart: Release) -> Release:
    """The chart's release, as it is by default, whatever the test before did to it."""
    chart.restore()
    return chart


@pytest.fixture
def cluster(operator: Release) -> Cluster:
    """The one that the release is in."""
    return operator.cluster


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace of the test's own."""
    with namespaces.fresh(cluster, request.node) as made:
        yield made


@pytest.fixture
def client(namespace: Namespace) -> Client:
    """A pod in the test's namespace that asks with the openai package."""
    namespace.apply(client_pod())
    namespace.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
    return Client(namespace)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Tells the fixtures whether the test failed."""
    report = yield
    for node in item.listchain():
        node.stash[namespaces.FAILED] = node.stash.get(namespaces.FAILED, False) or report.failed
    return report
