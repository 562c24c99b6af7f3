"""The engine of the router model, vLLM or llama.cpp: its image, command line and variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..objects.naming import MODEL_PORT
from ..objects.quantity import GIBIBYTE, amount
from ..schema import Model
from . import weights
from .defaults import Defaults
from .weights import Weights

DRAIN_SECONDS = 30
"""What running requests get after SIGTERM; vLLM would abort them."""
SHARED_MEMORY_GIB = 1
"""vLLM dies at the start with a container's usual 64 MiB; each further rank talks through it too."""
CHAT_TEMPLATE = "/etc/rl-router/chat-template/chat-template.jinja"
STORAGE_FOLDER = "/var/lib/rl-router/weights"
_KV_CACHE_SHARE = 4
"""A quarter of a container's memory is for the KV cache: weights, activations and the server itself need the rest."""
_KV_CACHE_GIB = 4


def name_of(model: Model) -> Literal["vllm", "llamacpp"]:
    """The engine that was asked for, or that goes with the weights."""
    if model.engine:
        return model.engine
    source = weights.read(model.source)
    if source is None or (source.is_gguf and not model.accelerator):
        return "llamacpp"
    return "vllm"


def image(model: Model, defaults: Defaults) -> str:
    """The image that was asked for, or the engine's own."""
    if model.image:
        return model.image
    if name_of(model) == "llamacpp":
        return defaults.image(defaults.images.llamacpp)
    return defaults.image(defaults.images.vllm if model.accelerator else defaults.images.vllm_cpu)


def ranks(model: Model) -> int:
    """Accelerators that share the model."""
    return model.tensor_parallel_size or (model.accelerator.count if model.accelerator else 1)


def command(model: Model) -> dict[str, Any]:
    """The container's command line; what the user adds comes last, where the last of two flags holds."""
    source = weights.read(model.source)
    if name_of(model) == "llamacpp":
        return {"args": [*_llamacpp(model, source), *_common(model, source), *model.extra_args]}
    arguments = [*_vllm(model, source), *_common(model, source), *model.extra_args]
    # Named in full: images for other accelerators often have no entry point.
    return {"command": ["vllm", "serve"], "args": arguments}


def _common(model: Model, source: Weights | None) -> list[str]:
    served_name = model.served_name or (source.name if source else None)
    arguments = ["--host", "0.0.0.0", "--port", str(MODEL_PORT), "--shutdown-timeout", str(DRAIN_SECONDS)]
    if served_name:
        arguments += ["--served-model-name", served_name]
    if model.max_model_len:
        arguments += ["--max-model-len", str(model.max_model_len)]
    if model.chat_template:
        arguments += ["--chat-template", CHAT_TEMPLATE]
    return arguments


def _llamacpp(model: Model, source: Weights | None) -> list[str]:
    if source is None or not model.source:
        return []
    # Unlike vLLM, our server takes a place on the hub as it is written in the spec.
    return ["--model", model.source if source.origin == "hub" else source.model]


def _vllm(model: Model, source: Weights | None) -> list[str]:
    arguments = [source.model] if source else []
    arguments += ["--enable-auto-tool-choice", "--tool-call-parser", model.tool_call_parser]
    if source and source.revision:
        arguments += ["--revision", source.revision]
    if ranks(model) > 1:
        arguments += ["--tensor-parallel-size", str(ranks(model))]
    if model.gpu_memory_utilization is not None:
        arguments += ["--gpu-memory-utilization", str(model.gpu_memory_utilization)]
    if not model.accelerator:
        arguments += ["--enforce-eager", "--dtype", "bfloat16"]
    return arguments


def variables(model: Model) -> Mapping[str, str]:
    """The engine's environment, without what the user sets."""
    found = {}
    source = weights.read(model.source)
    if model.storage:
        found["HF_HOME"] = STORAGE_FOLDER
    if source and source.origin != "hub":
        found["HF_HUB_OFFLINE"] = "1"
    if name_of(model) == "vllm":
        # The image knows no user 65532, whose name torch's compiler asks for.
        found |= {"USER": "rl-router", "VLLM_NO_USAGE_STATS": "1"}
        if not model.accelerator:
            found |= _cpu_variables(model)
    return found


def _cpu_variables(model: Model) -> dict[str, str]:
    """vLLM on a CPU looks at the node, not at the container's limits."""
    limits = {**model.resources.requests, **model.resources.limits}
    found = {"VLLM_CPU_KVCACHE_SPACE": str(_kv_cache_gib(limits))}
    if "cpu" in limits:
        threads = max(1, int(amount(limits["cpu"])) // ranks(model))
        # Bound to cores, vLLM takes all that the node has and leaves OMP_NUM_THREADS unread.
        found |= {"OMP_NUM_THREADS": str(threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return found


def _kv_cache_gib(limits: Mapping[str, int | str]) -> int:
    if "memory" not in limits:
        return _KV_CACHE_GIB
    # /dev/shm counts as the container's memory.
    gibibytes = int(amount(limits["memory"]) / GIBIBYTE) - SHARED_MEMORY_GIB
    return max(1, gibibytes // _KV_CACHE_SHARE)
