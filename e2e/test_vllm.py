"""A real vLLM as the router model: what the operator writes is taken by the real server as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kind
import namespaces
import pytest
from asking import Client
from cluster import CommandError, Namespace, run
from images import VLLM
from objects import client as client_pod
from objects import mounting, router, serving, target
from release import Release

pytestmark = pytest.mark.vllm
REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"
NAME = REPOSITORY.partition("/")[2]
FOLDER = Path(os.environ.get("E2E_WEIGHTS", "models")) / NAME
RESOURCES = {"requests": {"cpu": "500m", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "6Gi"}}
TEMPLATE = """
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
    {%- if loop.first and tools %}
        {{- '\\nAnswer with one line:\\n<tool_call>\\n{"name": "' + tools[0].function.name + '", "arguments": {}}' }}
        {{- '\\n</tool_call>' }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""With an example of a call, without which so small a model writes on and on: vLLM holds it to a call's form alone."""


@pytest.fixture(scope="module")
def node(chart: Release) -> str:
    """A node that has vLLM's image."""
    if not FOLDER.is_dir():
        pytest.skip(f"no weights in {FOLDER}: E2E_WEIGHTS names the folder that has {NAME}")
    try:
        run("docker", "image", "inspect", VLLM)
    except CommandError:
        pytest.skip(f"Docker has no image {VLLM}")
    chosen = chart.cluster.nodes[0]
    kind.load(chart.cluster, (VLLM,), chosen)
    return chosen


@pytest.fixture(scope="module")
def namespace(chart: Release, node: str, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace with the claim `weights`, which holds the model, on that node; one for all: it is much to copy."""
    with namespaces.fresh(chart.cluster, request.node) as made:
        made.apply(_claim(), mounting(client_pod("filler", node), "weights", "/weights"))
        made.kubectl("wait", "--for=condition=Ready", "pod/filler", "--timeout=120s")
        made.kubectl("cp", "--no-preserve", FOLDER, f"filler:/weights/{NAME}", timeout=300)
        yield made


@pytest.fixture(autouse=True)
def _one_model_at_a_time(namespace: Namespace) -> Iterator[None]:
    yield
    namespace.kubectl("delete", "rd", "--all")


def test_weights_of_a_claim_decide_by_calling_tools(
    operator: Release, namespace: Namespace, node: str, client: Client
) -> None:
    model = {"source": f"pvc://weights/{NAME}", "chatTemplate": {"text": TEMPLATE}}
    # One turn: so small a model calls by its example, and the example is no review of an answer.
    _serve(namespace, "tools", node, model, {"protocol": "tools", "toolChoice": "required", "maxTurns": 1})
    _assert_decided(client.ask("tools"))


def test_weights_from_a_hub_decide_under_a_schema(
    operator: Release, namespace: Namespace, node: str, client: Client
) -> None:
    hub, service = serving("hub")
    pod = hub["spec"]["template"]
    pod["spec"]["containers"][0]["args"] = ["hub.py", REPOSITORY, f"/weights/{NAME}"]
    hub["spec"]["template"] = mounting(pod, "weights", "/weights")
    namespace.apply(hub, service)
    mirror = [{"name": "HF_ENDPOINT", "value": "http://hub:8000"}]
    model = {"source": f"hf://{REPOSITORY}", "env": mirror, "storage": {"size": "2Gi"}}
    _serve(namespace, "schema", node, model, {"protocol": "json_schema", "maxTurns": 2})
    _assert_decided(client.ask("schema"))


def _serve(namespace: Namespace, name: str, node: str, model: dict[str, Any], routing: dict[str, Any]) -> None:
    placed = {"nodeSelector": {"kubernetes.io/hostname": node}}
    model = {**model, "maxModelLen": 4096, "resources": RESOURCES, "podTemplate": placed}
    routing = {**routing, "timeout": 120, "maxTokens": 256}
    two = [target("physics"), target("poetry")]
    namespace.apply(*serving("physics"), *serving("poetry"))
    namespace.apply(router(name, model=model, routing=routing, targets=two))
    namespace.until_ready(name, within=600)


def _assert_decided(answer: Any) -> None:
    assert answer["status"] == 200, answer
    first, *_ = answer["metadata"]["router_calls"]
    assert first["status"] == "ok", answer
    assert answer["metadata"]["routing_strategy"] in ("committed", "select_response", "max_turns_reached"), answer


def _claim() -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "weights"}, "spec": spec}
