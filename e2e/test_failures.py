"""A condition reports each failure of real pods and recovers when the failure is fixed."""

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
    "a missing model": (
        {"model": {"engine": "llamacpp", "source": "file:///nowhere/model.gguf"}},
        ("ModelReady", "ModelPathMissing", "/nowhere/model.gguf"),
    ),
    "too little memory": (
        # Without this option, the CPU fallback loads its language model only when a request needs it.
        {
            "model": {
                "extraArgs": ["--decide", "language-model"],
                "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}},
            }
        },
        ("ModelReady", "OutOfMemory", "memory"),
    ),
    "a crash loop": (
        {"model": {"extraArgs": ["--max-num-seq"]}},
        ("ModelReady", "CrashLooping", "--max-num-seq"),
    ),
}


@pytest.mark.parametrize("failure", BROKEN)
def test_a_condition_reports_a_failing_pod_and_recovers_when_it_is_fixed(
    operator: Release, namespace: Namespace, failure: str
) -> None:
    spec, (condition, reason, detail) = BROKEN[failure]
    namespace.apply(router("demo", **spec))
    assert detail in namespace.wait_for_condition("demo", condition, "False", reason, within=180)
    namespace.apply(router("demo"))
    namespace.wait_until_ready("demo")


def test_a_condition_has_the_schedulers_message_about_too_few_accelerators(
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
        message = namespace.wait_for_condition("demo", "ModelReady", "False", "Unschedulable")
        assert f"Insufficient {GPU}" in message
    with accelerators(cluster, 2):
        # The kubelet pulls the image only after the pod has a node, so this failure proves that the pod has one.
        namespace.wait_for_condition("demo", "ModelReady", "False", "ImagePullFailed")
    namespace.apply(router("demo"))
    namespace.wait_until_ready("demo")


def test_a_condition_names_an_unreachable_target(operator: Release, namespace: Namespace) -> None:
    targets = [target("physics"), target("poetry")]
    namespace.apply(*serving("physics"), router("demo", targets=targets))
    assert "poetry" in namespace.wait_for_condition("demo", "Degraded", "True", "TargetBad", within=240)
    namespace.wait_for_condition("demo", "TargetsReady", "True", "TargetsReachable")
    namespace.apply(*serving("poetry"))
    namespace.wait_for_condition("demo", "Degraded", "False", "NoFault")


def test_a_condition_reports_a_rejected_key_and_its_correction_needs_no_restart(
    operator: Release, namespace: Namespace
) -> None:
    authenticated = target("physics", apiKeySecretRef={"name": "physics-key", "key": "api-key"})
    namespace.apply(secret("accepted", keys="good"), secret("physics-key", **{"api-key": "bad"}))
    namespace.apply(*serving("physics", keys="accepted"), router("demo", targets=[authenticated]))
    # Until the target's pod serves, the reason is a refused connection.
    state = eventually(lambda: _rejected_target(namespace), within=240)
    assert state["state"] == "bad"
    assert "bad" not in state["reason"]
    assert namespace.condition("demo", "TargetsReady")["reason"] == "NoTargetAnswers"
    before = set(namespace.pods("demo", "api"))
    namespace.apply(secret("physics-key", **{"api-key": "good"}))
    namespace.wait_until_ready("demo")
    assert set(namespace.pods("demo", "api")) == before


def _rejected_target(namespace: Namespace) -> dict[str, str]:
    """Returns the status of the only target. Fails if the reason is not HTTP 401."""
    state = namespace.get("rd", "demo")["status"]["targets"][0]
    assert "401" in state["reason"], state
    return dict(state)


@contextmanager
def accelerators(cluster: Cluster, count: int) -> Iterator[None]:
    """Sets the number of simulated GPUs of each node while the block runs."""
    for node in cluster.nodes:
        _set_gpus(cluster, node, str(count))
    try:
        eventually(lambda: all(_gpus(cluster, node) == str(count) for node in cluster.nodes), within=60)
        yield
    finally:
        for node in cluster.nodes:
            _set_gpus(cluster, node, None)


def _set_gpus(cluster: Cluster, node: str, count: str | None) -> None:
    change: dict[str, Any] = {"status": {"capacity": {GPU: count}, "allocatable": {GPU: count}}}
    patch = json.dumps(change)
    cluster.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "--patch", patch)


def _gpus(cluster: Cluster, node: str) -> str | None:
    status = json.loads(cluster.kubectl("get", "node", node, "--output", "json"))["status"]
    count: str | None = status["allocatable"].get(GPU)
    return count
