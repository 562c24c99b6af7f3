"""Each failure, as real pods have it: the condition says it, and clears when it is mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster import Cluster, Namespace, eventually
from images import NO_IMAGE
from objects import router, secret, serving, target
from release import Release

GPU = "nvidia.com/gpu"
BROKEN = {
    "an image that cannot be pulled": (
        {"api": {"image": NO_IMAGE, "imagePullPolicy": "IfNotPresent"}},
        ("APIReady", "ImagePullFailed", NO_IMAGE),
    ),
    "a model that is not there": (
        {"model": {"engine": "llamacpp", "source": "file:///nowhere/model.gguf"}},
        ("ModelReady", "ModelPathMissing", "/nowhere/model.gguf"),
    ),
    "too little memory": (
        {"model": {"resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}}}},
        ("ModelReady", "OutOfMemory", "memory"),
    ),
    "a crash loop": (
        {"model": {"extraArgs": ["--max-num-seq"]}},
        ("ModelReady", "CrashLooping", "--max-num-seq"),
    ),
}


@pytest.mark.parametrize("failure", BROKEN)
def test_a_pods_failure_is_said_and_mended(operator: Release, namespace: Namespace, failure: str) -> None:
    spec, (condition, reason, word) = BROKEN[failure]
    namespace.apply(router("demo", **spec))
    assert word in namespace.until_says("demo", condition, "False", reason, within=180)
    namespace.apply(router("demo"))
    namespace.until_ready("demo")


def test_too_few_accelerators_are_said_in_the_schedulers_words(
    operator: Release, cluster: Cluster, namespace: Namespace
) -> None:
    model = {
        "source": "hf://org/name",
        "image": NO_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "accelerator": {"count": 2},
    }
    with accelerators(cluster, 1):
        namespace.apply(router("demo", model=model))
        said = namespace.until_says("demo", "ModelReady", "False", "Unschedulable")
        assert f"Insufficient {GPU}" in said
    with accelerators(cluster, 2):
        # What follows once a node was found.
        namespace.until_says("demo", "ModelReady", "False", "ImagePullFailed")
    namespace.apply(router("demo"))
    namespace.until_ready("demo")


def test_a_target_that_cannot_be_reached_is_named(operator: Release, namespace: Namespace) -> None:
    both = [target("physics"), target("poetry")]
    namespace.apply(*serving("physics"), router("demo", targets=both))
    assert "poetry" in namespace.until_says("demo", "Degraded", "True", "TargetBad", within=240)
    namespace.until_says("demo", "TargetsReady", "True", "TargetsReachable")
    namespace.apply(*serving("poetry"))
    namespace.until_says("demo", "Degraded", "False", "NoFault")


def test_a_refused_key_is_said_and_its_correction_needs_no_restart(operator: Release, namespace: Namespace) -> None:
    keyed = target("physics", apiKeySecretRef={"name": "physics-key", "key": "api-key"})
    namespace.apply(secret("accepted", keys="good"), secret("physics-key", **{"api-key": "bad"}))
    namespace.apply(*serving("physics", keys="accepted"), router("demo", targets=[keyed]))
    # Before the target's pod serves, it is its connection that is refused.
    state = eventually(lambda: _refused(namespace), within=240)
    assert state["state"] == "bad"
    assert "bad" not in state["reason"]
    assert namespace.condition("demo", "TargetsReady")["reason"] == "NoTargetAnswers"
    before = set(namespace.pods("demo", "api"))
    namespace.apply(secret("physics-key", **{"api-key": "good"}))
    namespace.until_ready("demo")
    assert set(namespace.pods("demo", "api")) == before


def _refused(namespace: Namespace) -> dict[str, str]:
    """The state of the only target, once that is about a key."""
    state = namespace.get("rd", "demo")["status"]["targets"][0]
    assert "401" in state["reason"], state
    return dict(state)


@contextmanager
def accelerators(cluster: Cluster, count: int) -> Iterator[None]:
    """Nodes that say that they have so many."""
    for node in cluster.nodes:
        _offer(cluster, node, str(count))
    try:
        eventually(lambda: all(_offered(cluster, node) == str(count) for node in cluster.nodes), within=60)
        yield
    finally:
        for node in cluster.nodes:
            _offer(cluster, node, None)


def _offer(cluster: Cluster, node: str, count: str | None) -> None:
    change: dict[str, Any] = {"status": {"capacity": {GPU: count}, "allocatable": {GPU: count}}}
    patch = json.dumps(change)
    cluster.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "--patch", patch)


def _offered(cluster: Cluster, node: str) -> str | None:
    status = json.loads(cluster.kubectl("get", "node", node, "--output", "json"))["status"]
    found: str | None = status["allocatable"].get(GPU)
    return found
