"""An edit of a RouterDeployment restarts only the pods that need a restart."""

from __future__ import annotations

from cluster import Namespace, eventually
from images import API
from in_cluster_client import Client
from objects import router, secret, serving, target
from release import Release

SYNC = 180
"""The maximum seconds until a changed ConfigMap or Secret reaches the pods. The kubelet syncs every minute."""


def test_new_targets_prices_and_aliases_take_effect_without_a_restart(
    operator: Release, namespace: Namespace, client: Client
) -> None:
    namespace.apply(*serving("physics"), *serving("poetry"), router("demo", targets=[target("physics")]))
    namespace.wait_until_ready("demo")
    assert client.request("demo", "physics")["metadata"]["total_cost"] == 0.002
    assert client.request("demo", "poetry")["status"] == 404
    before = _pods(namespace)
    changed = target("physics", price={"input": "2", "output": "20"})
    namespace.apply(router("demo", targets=[changed, target("poetry")], routing={"aliases": ["gpt-4o"], "timeout": 60}))
    eventually(lambda: client.request("demo", "poetry")["status"] == 200, within=SYNC)
    assert client.request("demo", "physics")["metadata"]["total_cost"] == 0.004
    assert client.request("demo", "gpt-4o")["status"] == 200
    assert _pods(namespace) == before


def test_a_rotated_key_is_used_without_a_restart(operator: Release, namespace: Namespace, client: Client) -> None:
    authenticated = target("physics", apiKeySecretRef={"name": "physics-key", "key": "api-key"})
    namespace.apply(secret("accepted", keys="old\nnew"), secret("physics-key", **{"api-key": "old"}))
    namespace.apply(*serving("physics", keys="accepted"), router("demo", targets=[authenticated]))
    namespace.wait_until_ready("demo")
    assert client.request("demo", "physics")["status"] == 200
    assert client.received_by("physics")["key"] == "old"
    before = _pods(namespace)
    namespace.apply(secret("physics-key", **{"api-key": "new"}))

    def uses_new_key() -> bool:
        assert client.request("demo", "physics")["status"] == 200
        return bool(client.received_by("physics")["key"] == "new")

    eventually(uses_new_key, within=SYNC)
    assert _pods(namespace) == before


def test_another_image_of_the_api_replaces_only_the_api_pods(
    operator: Release, namespace: Namespace, client: Client
) -> None:
    namespace.apply(router("demo"))
    namespace.wait_until_ready("demo")
    model, api = _pods(namespace)
    namespace.apply(router("demo", api={"image": f"docker.io/{API}"}))
    eventually(lambda: not api & _pods(namespace)[1], within=120)
    namespace.wait_until_ready("demo")
    assert _pods(namespace)[0] == model


def _pods(namespace: Namespace) -> tuple[set[str], set[str]]:
    """Returns the uids of the model's pods and of the API's pods."""
    return set(namespace.pods("demo", "model")), set(namespace.pods("demo", "api"))
