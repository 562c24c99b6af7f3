"""Explains why the engine ended, based on the last lines of the engine's output."""

import re
from collections.abc import Iterable

from .preflight import port_in_use

_OUT_OF_MEMORY = r"CUDA out of memory|Free memory on device|No available memory for the cache blocks|OutOfMemoryError"
_NO_ACCESS = r"401 Client Error|GatedRepoError|403 Client Error"
_NO_MODEL = r"RepositoryNotFoundError|is not a valid model identifier|is not a local folder"
_PORT_IN_USE = r"address already in use"


def explain(lines: Iterable[str], model: str, port: int) -> str:
    """Returns a line with the reason why an engine that printed `lines` did not start, and with a remedy."""
    lines = tuple(lines)
    causes = {
        _OUT_OF_MEMORY: "too little GPU memory is free. Lower --max-model-len, or use more GPUs (--gpus, "
        "--tensor-parallel-size). If other programs use the GPUs, stop them or lower --gpu-memory-utilization.",
        _NO_ACCESS: f"the Hugging Face hub denies access to {model}, or has no such model. Fix --model, or accept the "
        "model's licence on the hub and set HF_TOKEN.",
        _NO_MODEL: f"the Hugging Face hub has no model {model}. Fix --model.",
        _PORT_IN_USE: port_in_use(port),
    }
    for pattern, explanation in causes.items():
        if any(re.search(pattern, line, re.IGNORECASE) for line in lines):
            return explanation
    return unexplained("the router model did not start", lines)


def unexplained(problem: str, lines: Iterable[str]) -> str:
    """Returns a line with a problem whose reason is unknown, the last line of the engine's output, and a remedy."""
    return f"{problem}: {last_line(lines).rstrip('.')}. Read the engine's output above this line."


def last_line(lines: Iterable[str]) -> str:
    """Returns the last line that is not blank, without surrounding spaces, or `it printed nothing` if all lines are
    blank."""
    return next((line.strip() for line in reversed(tuple(lines)) if line.strip()), "it printed nothing")
