"""A real vLLM serves the router model with the flags and files that the operator writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kind
import namespaces
import pytest
from cluster import CommandError, Namespace, run
from images import VLLM
from in_cluster_client import Client
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
"""A chat template with an example of a tool call. Without the example, a small model does not stop generating."""


@pytest.fixture(scope="module")
def node(chart: Release) -> str:
    """Returns the name of a node with vLLM's image. Skips the tests if the image or the weights are missing."""
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} does not exist. Set E2E_WEIGHTS to the folder that contains the weights {NAME}")
    try:
        run("docker", "image", "inspect", VLLM)
    except CommandError:
        pytest.skip(f"Docker has no image {VLLM}. Run docker pull {VLLM}")
    name = chart.cluster.nodes[0]
    kind.load(chart.cluster, (VLLM,), name)
    return name


@pytest.fixture(scope="module")
def namespace(chart: Release, node: str, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """Yields a namespace with the weights in a PVC.

    All tests share this namespace, because copying the weights takes long.
    """
    with namespaces.created(chart.cluster, request.node) as namespace:
        namespace.apply(_claim(), mounting(client_pod("filler", node), "weights", "/weights"))
        namespace.kubectl("wait", "--for=condition=Ready", "pod/filler", "--timeout=120s")
        namespace.kubectl("cp", "--no-preserve", FOLDER, f"filler:/weights/{NAME}", timeout=300)
        yield namespace


@pytest.fixture(autouse=True)
def _delete_router_after_each_test(namespace: Namespace) -> Iterator[None]:
    yield
    namespace.kubectl("delete", "rd", "--all")


def test_a_model_from_a_pvc_decides_with_tool_calls(
    operator: Release, namespace: Namespace, node: str, client: Client
) -> None:
    model = {"source": f"pvc://weights/{NAME}", "chatTemplate": {"text": TEMPLATE}}
    # A model this small repeats the call in the example. The example cannot review an answer, so there is one turn.
    _serve(namespace, "tools", node, model, {"protocol": "tools", "toolChoice": "required", "maxTurns": 1})
    _assert_decided(client.request("tools"))


def test_a_model_from_a_hub_decides_with_a_json_schema(
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
    _assert_decided(client.request("schema"))


def _serve(namespace: Namespace, name: str, node: str, model: dict[str, Any], routing: dict[str, Any]) -> None:
    pod_template = {"nodeSelector": {"kubernetes.io/hostname": node}}
    model = {**model, "maxModelLen": 4096, "resources": RESOURCES, "podTemplate": pod_template}
    routing = {**routing, "timeout": 120, "maxTokens": 256}
    targets = [target("physics"), target("poetry")]
    namespace.apply(*serving("physics"), *serving("poetry"))
    namespace.apply(router(name, model=model, routing=routing, targets=targets))
    namespace.wait_until_ready(name, within=600)


def _assert_decided(answer: Any) -> None:
    assert answer["status"] == 200, answer
    first, *_ = answer["metadata"]["router_calls"]
    assert first["status"] == "ok", answer
    assert answer["metadata"]["routing_strategy"] in ("committed", "select_response", "max_turns_reached"), answer


def _claim() -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "weights"}, "spec": spec}
