"""An installed router answers requests."""

from __future__ import annotations

import subprocess
import sys

from cluster import Namespace, port_forward
from images import ROOT
from in_cluster_client import Client, assert_complete
from objects import LONG_TIMEOUT, router, serving, target
from release import Release


def test_a_router_with_an_empty_spec_answers(operator: Release, namespace: Namespace, client: Client) -> None:
    namespace.apply(router("demo"))
    namespace.wait_until_ready("demo")
    for stream in (False, True):
        assert_complete(client.request("demo", stream=stream))


def test_the_router_model_decides_between_targets(operator: Release, namespace: Namespace, client: Client) -> None:
    targets = [target("physics"), target("poetry")]
    namespace.apply(*serving("physics"), *serving("poetry"), router("demo", targets=targets, routing=LONG_TIMEOUT))
    namespace.wait_until_ready("demo")
    answer = client.request("demo", "router-tool-rl")
    assert_complete(answer)
    assert answer["metadata"]["model_used"] in ("physics", "poetry")
    assert answer["metadata"]["routing_strategy"] in ("select_response", "max_turns_reached")
    assert answer["metadata"]["target_models_cost"] > 0


def test_the_live_checks_pass_through_a_port_forward(operator: Release, namespace: Namespace) -> None:
    targets = [target("physics"), target("poetry")]
    namespace.apply(*serving("physics"), *serving("poetry"), router("demo", targets=targets, routing=LONG_TIMEOUT))
    namespace.wait_until_ready("demo")
    with port_forward(namespace, "service/demo-api", 8800) as port:
        url = f"http://127.0.0.1:{port}/v1"
        process = subprocess.run(
            [sys.executable, ROOT / "test_serve.py", "--url", url], capture_output=True, text=True, check=False
        )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
