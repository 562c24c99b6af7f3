"""A namespace of a test's, or a file of tests', own; what a failure leaves in it is dumped into e2e/results/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import release
from cluster import Cluster, Namespace
from results import dump

RESULTS = Path(__file__).parent / "results"
FAILED: pytest.StashKey[bool] = pytest.StashKey()
"""Whether a test, or one of a file's, failed."""


@contextmanager
def fresh(cluster: Cluster, node: pytest.Item | pytest.Collector) -> Iterator[Namespace]:
    """A namespace, named after the test or the file, with Pod Security `restricted` enforced."""
    words = re.sub(r"[^a-z0-9]+", "-", node.name.lower().removeprefix("test_").removesuffix(".py"))
    made = Namespace(cluster, f"e2e-{words[:50].strip('-')}")
    cluster.kubectl("delete", "namespace", made.name, "--ignore-not-found", timeout=300)
    cluster.kubectl("create", "namespace", made.name)
    cluster.kubectl("label", "namespace", made.name, "pod-security.kubernetes.io/enforce=restricted")
    yield made
    if node.stash.get(FAILED, False):
        dump(cluster, [made.name, release.NAMESPACE], RESULTS / words)
    cluster.kubectl("delete", "namespace", made.name, "--wait=false")
