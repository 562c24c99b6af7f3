"""One cluster a worker, one release in it, one namespace a test; what a failure leaves is dumped into e2e/results/."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import images
import kind
import pytest
import release
import xdist
from asking import Client
from cluster import Cluster, Namespace
from objects import client as client_pod
from release import Release
from results import dump

RESULTS = Path(__file__).parent / "results"


def pytest_sessionstart(session: pytest.Session) -> None:
    """What an earlier run left is not taken for this one's."""
    if not xdist.is_xdist_worker(session):
        shutil.rmtree(RESULTS, ignore_errors=True)


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
    """A namespace of the test's own, with Pod Security `restricted` enforced."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))
    made = Namespace(cluster, f"e2e-{words[:50].strip('-')}")
    cluster.kubectl("delete", "namespace", made.name, "--ignore-not-found", timeout=300)
    cluster.kubectl("create", "namespace", made.name)
    cluster.kubectl("label", "namespace", made.name, "pod-security.kubernetes.io/enforce=restricted")
    yield made
    if request.node.stash.get(_FAILED, False):
        dump(cluster, [made.name, release.NAMESPACE], RESULTS / words)
    cluster.kubectl("delete", "namespace", made.name, "--wait=false")


@pytest.fixture
def client(namespace: Namespace) -> Client:
    """A pod in the test's namespace that asks with the openai package."""
    namespace.apply(client_pod())
    namespace.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
    return Client(namespace)


_FAILED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Tells the fixtures whether the test failed."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report
