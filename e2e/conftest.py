"""One cluster a worker, one release in it, one namespace a test; what a failure leaves is dumped into e2e/results/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import images
import kind
import namespaces
import pytest
import xdist
from asking import Client
from cluster import Cluster, Namespace
from objects import client as client_pod
from release import Release


def pytest_sessionstart(session: pytest.Session) -> None:
    """What an earlier run left is not taken for this one's."""
    if not xdist.is_xdist_worker(session):
        shutil.rmtree(namespaces.RESULTS, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins: nothing else is left to wait for at the end."""
    items.sort(key=lambda item: item.get_closest_marker("vllm") is None)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Cluster]:
    """The worker's cluster, with our images in its nodes."""
    with kind.cluster(f"rl-router-e2e-{worker_id}", tmp_path_factory.mktemp("kind")) as made:
        kind.load(made, images.ALL, *made.nodes)
        yield made


@pytest.fixture(scope="session")
def _installed(cluster: Cluster) -> Iterator[Release]:
    operator = Release(cluster)
    operator.install()
    yield operator
    operator.uninstall()


@pytest.fixture
def operator(_installed: Release) -> Release:
    """The chart's release, as it is by default, whatever the test before did to it."""
    _installed.restore()
    return _installed


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
