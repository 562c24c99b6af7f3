"""From an installation to a routed answer."""

from __future__ import annotations

from typing import Any

import pytest
from asking import Client
from cluster import Namespace
from objects import router, serving, target
from release import Release


@pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
def test_the_least_router_answers(operator: Release, namespace: Namespace, client: Client, stream: bool) -> None:
    namespace.apply(router("demo"))
    namespace.until_ready("demo")
    assert_whole(client.ask("demo", stream=stream))


def test_the_router_model_decides_between_targets(operator: Release, namespace: Namespace, client: Client) -> None:
    namespace.apply(
        *serving("physics"), *serving("poetry"), router("demo", targets=[target("physics"), target("poetry")])
    )
    namespace.until_ready("demo")
    answer = client.ask("demo", "router-tool-rl")
    assert_whole(answer)
    assert answer["metadata"]["model_used"] in ("physics", "poetry")
    assert answer["metadata"]["routing_strategy"] in ("select_response", "max_turns_reached")
    assert answer["metadata"]["target_models_cost"] > 0


def assert_whole(answer: Any) -> None:
    """An answer with a text, and metadata that adds up."""
    assert answer["status"] == 200, answer
    assert answer["text"]
    metadata = answer["metadata"]
    assert sum(call["selected"] for call in metadata["call_history"]) == 1
    assert metadata["total_cost"] == pytest.approx(metadata["router_cost"] + metadata["target_models_cost"])
