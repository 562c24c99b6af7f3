"""Checks the options and the machine before the engine starts, so that an error is reported in one line."""

import os
from pathlib import Path

from . import gpus
from .endpoint import Endpoint
from .engine_choice import Choice
from .error import HostingError
from .installation import Installation
from .options import Options

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_REQUIRED_SHARED_MEMORY = 1_000_000 * 1024
"""vLLM's processes need at least this number of bytes of shared memory to exchange tensors."""


def check(options: Options, choice: Choice, endpoint: Endpoint, installation: Installation) -> None:
    """Raises HostingError if a check shows that the engine cannot start, for example because the port is in use.

    For the CPU fallback in a clone, creates or updates `.venv` if necessary, and exits if this fails.
    """
    check_files(options)
    check_port(endpoint)
    if choice.engine == "llamacpp":
        installation.require_cpu_fallback()
        return
    installation.require_vllm()
    check_shared_memory(_SHARED_MEMORY)
    if choice.device == "cuda":
        used = tuple(gpu for gpu in gpus.memory() if gpu.index in choice.gpus)
        gpus.check_memory(used, options.gpu_memory_utilization)


def check_files(options: Options) -> None:
    """Raises HostingError if the model looks like a path but does not exist, or if the chat template cannot be read."""
    model, template = options.model, options.chat_template
    if (model.startswith(("/", "./", "../")) or _is_gguf_file(model)) and not Path(model).exists():
        raise HostingError(f"--model: there is no file or folder {model}. Fix the path.")
    if template and not os.access(template, os.R_OK):
        raise HostingError(f"--chat-template: {template} cannot be read. Fix the path or the permissions.")


def check_port(endpoint: Endpoint) -> None:
    """Raises HostingError if a program already listens on the port."""
    if endpoint.accepts_connections():
        raise HostingError(port_in_use(endpoint.port))


def port_in_use(port: int) -> str:
    """Returns the error message that says that the port is in use, with the remedy."""
    return f"port {port} is in use. Stop the program that listens on this port, or choose another port with --port."


def check_shared_memory(folder: Path) -> None:
    """Raises HostingError if the file system of `folder` is too small for vLLM.

    Does nothing if the folder does not exist.
    """
    try:
        status = os.statvfs(folder)
    except OSError:
        return
    size = status.f_blocks * status.f_frsize
    if size < _REQUIRED_SHARED_MEMORY:
        raise HostingError(
            f"{folder} has {size // 1024**2} MiB, but vLLM requires 977 MiB of shared memory. "
            "Start the container with --shm-size 1g."
        )


def _is_gguf_file(model: str) -> bool:
    return model.endswith(".gguf") and not model.startswith("hf://")
