"""What is changed decides what restarts."""

from __future__ import annotations

from asking import Client
from cluster import Namespace, eventually
from images import API
from objects import router, secret, serving, target
from release import Release

SYNC = 180
"""Seconds until a changed ConfigMap or Secret has surely reached the pods: the kubelet looks once a minute or so."""


def test_targets_prices_and_routing_are_live_without_a_restart(
    operator: Release, namespace: Namespace, client: Client
) -> None:
    namespace.apply(*serving("physics"), *serving("poetry"), router("demo", targets=[target("physics")]))
    namespace.until_ready("demo")
    assert client.ask("demo", "physics")["metadata"]["total_cost"] == 0.002
    assert client.ask("demo", "poetry")["status"] == 404
    before = _pods(namespace)
    dearer = target("physics", price={"input": "2", "output": "20"})
    namespace.apply(router("demo", targets=[dearer, target("poetry")], routing={"aliases": ["gpt-4o"], "timeout": 60}))
    eventually(lambda: client.ask("demo", "poetry")["status"] == 200, within=SYNC)
    assert client.ask("demo", "physics")["metadata"]["total_cost"] == 0.004
    assert client.ask("demo", "gpt-4o")["status"] == 200
    assert _pods(namespace) == before


def test_a_rotated_key_is_used_without_a_restart(operator: Release, namespace: Namespace, client: Client) -> None:
    keyed = target("physics", apiKeySecretRef={"name": "physics-key", "key": "api-key"})
    namespace.apply(secret("accepted", keys="old\nnew"), secret("physics-key", **{"api-key": "old"}))
    namespace.apply(*serving("physics", keys="accepted"), router("demo", targets=[keyed]))
    namespace.until_ready("demo")
    assert client.ask("demo", "physics")["status"] == 200
    assert client.seen_by("physics")["key"] == "old"
    before = _pods(namespace)
    namespace.apply(secret("physics-key", **{"api-key": "new"}))

    def rotated() -> bool:
        assert client.ask("demo", "physics")["status"] == 200
        return bool(client.seen_by("physics")["key"] == "new")

    eventually(rotated, within=SYNC)
    assert _pods(namespace) == before


def test_another_image_of_the_api_rolls_the_api_alone(operator: Release, namespace: Namespace, client: Client) -> None:
    namespace.apply(router("demo"))
    namespace.until_ready("demo")
    model, api = _pods(namespace)
    namespace.apply(router("demo", api={"image": f"docker.io/{API}"}))
    eventually(lambda: not api & _pods(namespace)[1], within=120)
    namespace.until_ready("demo")
    assert _pods(namespace)[0] == model


def _pods(namespace: Namespace) -> tuple[set[str], set[str]]:
    """The uids of the model's and of the API's pods."""
    return set(namespace.pods("demo", "model")), set(namespace.pods("demo", "api"))
