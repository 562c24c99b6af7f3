"""Configures the image, command line and environment variables of the router model's engine (vLLM or llama.cpp)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..objects.naming import MODEL_PORT
from ..schema import Model
from ..schema.quantity import GIBIBYTE, amount
from . import weights
from .defaults import Defaults
from .weights import Weights

DRAIN_SECONDS = 30
"""The seconds in which in-flight requests may finish after SIGTERM.

By default, vLLM aborts in-flight requests when vLLM receives SIGTERM.
"""
SHARED_MEMORY_GIB = 1
"""The size of /dev/shm in GiB for each rank. A rank is one of the vLLM processes that share the router model.

The ranks of vLLM communicate through /dev/shm. With the default size of 64 MiB for /dev/shm, vLLM crashes at startup.
"""
CHAT_TEMPLATE = "/etc/rl-router/chat-template/chat-template.jinja"
STORAGE_FOLDER = "/var/lib/rl-router/weights"
_KV_CACHE_SHARE = 4
"""On a CPU, the KV cache gets the container's memory outside /dev/shm, divided by this number, but at least 1 GiB.

The weights, the activations and the server need the rest of the memory.
"""
_KV_CACHE_GIB = 4
"""The size of the KV cache in GiB on a CPU if the container has neither a memory limit nor a memory request."""


def name_of(model: Model) -> Literal["vllm", "llamacpp"]:
    """Returns the name of the engine in the spec.

    If the spec names no engine, returns the engine that fits the format of the weights and the accelerator.
    """
    if model.engine:
        return model.engine
    source = weights.read(model.source)
    if source is None or (source.is_gguf and not model.accelerator):
        return "llamacpp"
    return "vllm"


def image(model: Model, defaults: Defaults) -> str:
    """Returns the image that the spec sets for the router model, or the engine's default image."""
    if model.image:
        return model.image
    if name_of(model) == "llamacpp":
        return defaults.image(defaults.images.llamacpp)
    return defaults.image(defaults.images.vllm if model.accelerator else defaults.images.vllm_cpu)


def ranks(model: Model) -> int:
    """Returns the number of vLLM processes across which a model pod splits the router model.

    The number is the value of `tensorParallelSize`. The default is the number of accelerators, or 1 on a CPU.
    """
    return model.tensor_parallel_size or (model.accelerator.count if model.accelerator else 1)


def command(model: Model, defaults: Defaults) -> dict[str, Any]:
    """Returns the command line of the model container.

    The arguments in `extraArgs` come last, because an engine uses the last value of a repeated flag.
    """
    source = weights.read(model.source)
    if name_of(model) == "llamacpp":
        return {"args": [*_llamacpp(model, source), *_common(model, source, defaults), *model.extra_args]}
    arguments = [*_vllm(model, source), *_common(model, source, defaults), *model.extra_args]
    # The command is explicit, because images for other accelerators often have no entry point.
    return {"command": ["vllm", "serve"], "args": arguments}


def _common(model: Model, source: Weights | None, defaults: Defaults) -> list[str]:
    served_name = model.served_name or (source.name if source else None)
    arguments = ["--host", defaults.host, "--port", str(MODEL_PORT), "--shutdown-timeout", str(DRAIN_SECONDS)]
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
    # Unlike vLLM, the server with llama.cpp accepts an hf:// source as it is written in the spec.
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
    """Returns the environment variables that the operator sets for the engine."""
    values = {}
    source = weights.read(model.source)
    if model.storage:
        values["HF_HOME"] = STORAGE_FOLDER
    if source and source.origin != "hub":
        values["HF_HUB_OFFLINE"] = "1"
    if name_of(model) == "vllm":
        # torch's compiler looks up the user name, and the image has no user 65532.
        values |= {"USER": "rl-router", "VLLM_NO_USAGE_STATS": "1"}
        if not model.accelerator:
            values |= _cpu_variables(model)
    return values


def _cpu_variables(model: Model) -> dict[str, str]:
    """Returns the variables for the size of vLLM's KV cache and, if a CPU limit or request is set, of its thread pool.

    By default, vLLM derives the sizes of the KV cache and the thread pool from the node, not from the container.
    """
    limits = {**model.resources.requests, **model.resources.limits}
    values = {"VLLM_CPU_KVCACHE_SPACE": str(_kv_cache_gib(limits))}
    if "cpu" in limits:
        threads = max(1, int(amount(limits["cpu"])) // ranks(model))
        # If vLLM binds threads to cores, it uses all cores of the node and ignores OMP_NUM_THREADS.
        values |= {"OMP_NUM_THREADS": str(threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return values


def _kv_cache_gib(limits: Mapping[str, int | float | str]) -> int:
    if "memory" not in limits:
        return _KV_CACHE_GIB
    # /dev/shm is part of the container's memory.
    gibibytes = int(amount(limits["memory"]) / GIBIBYTE) - SHARED_MEMORY_GIB
    return max(1, gibibytes // _KV_CACHE_SHARE)
