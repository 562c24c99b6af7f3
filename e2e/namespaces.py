"""Creates a namespace for a test or for a file of tests. After a failure, its objects are saved in e2e/results/."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import release
from cluster import Cluster, Namespace
from failure_dump import dump

RESULTS = Path(__file__).parent / "results"
_MAX_WORDS = 50
FAILED: pytest.StashKey[bool] = pytest.StashKey()
"""The key under which a test or a file of tests stores whether it failed."""


@contextmanager
def created(cluster: Cluster, node: pytest.Item | pytest.Collector) -> Iterator[Namespace]:
    """Yields a new namespace, which is named after the test or file and enforces Pod Security `restricted`."""
    words = re.sub(r"[^a-z0-9]+", "-", node.name.lower().removeprefix("test_").removesuffix(".py"))
    namespace = Namespace(cluster, _name(words))
    cluster.kubectl("delete", "namespace", namespace.name, "--ignore-not-found", timeout=300)
    cluster.kubectl("create", "namespace", namespace.name)
    cluster.kubectl("label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce=restricted")
    # Kubernetes rejects pods until the namespace has its default service account.
    namespace.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
    yield namespace
    if node.stash.get(FAILED, False):
        dump(cluster, [namespace.name, release.NAMESPACE], RESULTS / words)
    cluster.kubectl("delete", "namespace", namespace.name, "--wait=false")


def _name(words: str) -> str:
    """Returns a name of at most 63 characters that differs for tests whose names begin with the same words."""
    if len(words) <= _MAX_WORDS:
        return f"e2e-{words.strip('-')}"
    return f"e2e-{words[:_MAX_WORDS].strip('-')}-{hashlib.sha256(words.encode()).hexdigest()[:6]}"
