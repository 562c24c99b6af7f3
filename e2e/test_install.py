"""From an installation to a routed answer."""

from __future__ import annotations

import subprocess
import sys

from asking import Client, assert_whole
from cluster import Namespace, forwarded
from images import ROOT
from objects import PATIENT, router, serving, target
from release import Release


def test_the_least_router_answers(operator: Release, namespace: Namespace, client: Client) -> None:
    namespace.apply(router("demo"))
    namespace.until_ready("demo")
    for stream in (False, True):
        assert_whole(client.ask("demo", stream=stream))


def test_the_router_model_decides_between_targets(operator: Release, namespace: Namespace, client: Client) -> None:
    two = [target("physics"), target("poetry")]
    namespace.apply(*serving("physics"), *serving("poetry"), router("demo", targets=two, routing=PATIENT))
    namespace.until_ready("demo")
    answer = client.ask("demo", "router-tool-rl")
    assert_whole(answer)
    assert answer["metadata"]["model_used"] in ("physics", "poetry")
    assert answer["metadata"]["routing_strategy"] in ("select_response", "max_turns_reached")
    assert answer["metadata"]["target_models_cost"] > 0


def test_the_live_checks_pass_through_a_port_forward(operator: Release, namespace: Namespace) -> None:
    two = [target("physics"), target("poetry")]
    namespace.apply(*serving("physics"), *serving("poetry"), router("demo", targets=two, routing=PATIENT))
    namespace.until_ready("demo")
    with forwarded(namespace, "service/demo-api", 8800) as port:
        url = f"http://127.0.0.1:{port}/v1"
        done = subprocess.run(
            [sys.executable, ROOT / "test_serve.py", "--url", url], capture_output=True, text=True, check=False
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
