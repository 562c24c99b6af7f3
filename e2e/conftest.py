"""Clusters that two workers share each, one release in a cluster, one namespace a test. A test that is marked `alone`
has its cluster to itself. What a failure leaves is dumped into e2e/results/.
"""

from __future__ import annotations

import os
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
from sharing import Shared

CLUSTERS = int(os.environ.get("E2E_CLUSTERS", "1"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """What an earlier run left is not taken for this one's."""
    if not xdist.is_xdist_worker(session):
        shutil.rmtree(namespaces.RESULTS, ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Removes what all workers used."""
    if not xdist.is_xdist_worker(session) and not session.config.option.collectonly:
        if kind.given():
            Release(kind.given()).uninstall()
        elif shutil.which("kind"):
            for number in range(CLUSTERS):
                kind.delete(_name(number))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins: nothing else is left to wait for at the end."""
    items.sort(key=lambda item: item.get_closest_marker("vllm") is None)


def _name(number: int) -> str:
    return f"rl-router-e2e-{number}"


@pytest.fixture(scope="session")
def _number(worker_id: str) -> int:
    """Which cluster is the worker's."""
    return int(worker_id.removeprefix("gw")) % CLUSTERS if worker_id.startswith("gw") else 0


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str, _number: int) -> Shared:
    """What the workers of this cluster agree on."""
    own = tmp_path_factory.getbasetemp()
    return Shared((own.parent if worker_id.startswith("gw") else own) / _name(_number))


@pytest.fixture(scope="session")
def cluster(shared: Shared, _number: int) -> Cluster:
    """The worker's cluster, with our images in its nodes and the chart installed."""
    made = kind.given() or Cluster(shared.folder / "kubeconfig")

    def make() -> None:
        if not kind.given():
            kind.create(_name(_number), made)
            kind.load(made, images.ALL, *made.nodes)
        Release(made).install()

    shared.once("made", make)
    return made


@pytest.fixture
def operator(cluster: Cluster, shared: Shared, request: pytest.FixtureRequest) -> Iterator[Release]:
    """The chart's release, as it is by default. A test that is marked `alone` may do with it and with the nodes what it
    likes: no other test runs meanwhile, and the release is restored."""
    alone = request.node.get_closest_marker("alone") is not None
    with shared.held(alone=alone):
        release = Release(cluster)
        yield release
        release.restore()


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
