"""Determines why a container ended, from the container's termination reason, exit code and last lines of output."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from rl_router_api.health import ExitCode

from ..objects.naming import Component
from .reasons import Reason
from .words import lines, quote

CPU_FALLBACK: Mapping[int, Reason] = {
    80: Reason.MODEL_PATH_MISSING,
    81: Reason.HUB_UNAUTHORIZED,
    82: Reason.HUB_FORBIDDEN,
    83: Reason.HUB_NOT_FOUND,
    84: Reason.HUB_UNREACHABLE,
    85: Reason.CRASH_LOOPING,  # the hub returned another error
    86: Reason.CRASH_LOOPING,  # llama.cpp cannot load the model
    87: Reason.CRASH_LOOPING,  # the server cannot listen on its address
}
"""The reasons for exit codes that only the CPU fallback (the llama.cpp server for models without an accelerator) uses.

The mapping does not contain exit code 2, because the CPU fallback and vLLM both use exit code 2.
"""
_API: Mapping[int, Reason] = {
    ExitCode.CONFIGURATION: Reason.CONFIGURATION_REFUSED,
    ExitCode.KEYS_FILE: Reason.CONFIGURATION_REFUSED,
    ExitCode.ADDRESS: Reason.CRASH_LOOPING,
}
CODES: Mapping[Component, Mapping[int, Reason]] = {"model": CPU_FALLBACK, "api": _API}
"""The reasons for the exit codes of the CPU fallback and of the router API, by component (`model` or `api`)."""

_NAMES_AN_ERROR = re.compile(r"(?i)^(?:[\w.]*(?:error|exception)|fatal)\b")
"""A pattern for the beginning of an error line in the output of Python, Go and many other programs."""
_UNINFORMATIVE = re.compile(r"(?i)see root cause|engine process failed|engine core initialization failed")
_MODEL = (
    (
        Reason.MODEL_PATH_MISSING,
        re.compile(
            r"HFValidationError|Repo id must be in the form|local directory specified|"
            r"does not appear to have a file named"
        ),
    ),
    (Reason.HUB_FORBIDDEN, re.compile(r"\b403 (?:Client Error|Forbidden)")),
    (Reason.HUB_UNAUTHORIZED, re.compile(r"\b401 (?:Client Error|Unauthorized)")),
    (
        Reason.HUB_NOT_FOUND,
        re.compile(
            r"\b404 (?:Client Error|Not Found)|(?:Repository|Revision)NotFoundError|is not a valid model identifier"
        ),
    ),
    (Reason.HUB_FORBIDDEN, re.compile(r"GatedRepoError|gated repo|is gated")),
    (
        Reason.HUB_UNREACHABLE,
        re.compile(
            r"couldn't connect to '?http|LocalEntryNotFoundError|OfflineModeIsEnabled|Cannot reach http|"
            r"Max retries exceeded|name resolution|Name or service not known|ProxyError"
        ),
    ),
    (
        Reason.ACCELERATOR_MEMORY,
        re.compile(
            r"(?:CUDA|HIP) out of memory|torch\.\w*OutOfMemoryError|No available memory for the cache blocks|"
            r"Free memory on device|KV cache is needed|tokens that can be stored in KV cache"
        ),
    ),
    (
        Reason.ACCELERATOR_MISSING,
        re.compile(r"No CUDA GPUs are available|Found no NVIDIA driver|Failed to infer device type"),
    ),
)
"""Patterns for errors of vLLM, PyTorch and the Hugging Face libraries.

The patterns for HTTP statuses come before the patterns for gated repositories and failed connections, because an error
about a repository or a connection can wrap an error with an HTTP status.
"""


def why(ended: Mapping[str, Any], *, model: bool, codes: Mapping[int, Reason]) -> tuple[Reason, str]:
    """Returns the reason why a container ended, and a message, which usually quotes the container's output.

    The mapping `ended` is the `terminated` state of the container. The parameter `model` is True if the container
    belongs to a pod of the router model. The mapping `codes` maps exit codes to reasons. The function checks the exit
    code before the output, because the exit code is more reliable than the output.
    """
    output = lines(ended.get("message") or "")
    if ended.get("reason") == "OOMKilled":
        return Reason.OUT_OF_MEMORY, "the container was killed because it ran out of memory"
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return Reason.CONTAINER_NOT_STARTED, quote(ended.get("message"))
    code = ended.get("exitCode")
    if reason := codes.get(code or 0):
        return reason, _with_code(output[-1:], code)
    if model and (match := _known_error(output)):
        return match
    return Reason.CRASH_LOOPING, _last_error(output, code)


def _known_error(output: list[str]) -> tuple[Reason, str] | None:
    """Returns the reason of a known error, and the line of the error with the following line, if any.

    Returns None if the output contains no known error. The function includes the line that follows the line of the
    error, because the following line can contain a URL.
    """
    for reason, pattern in _MODEL:
        for number in range(len(output) - 1, -1, -1):
            if pattern.search(output[number]):
                return reason, quote(" ".join(output[number : number + 2]))
    return None


def _last_error(output: list[str], code: object) -> str:
    """Returns the exit code, and the last informative error line of the output, or else the last line, if any.

    Lines of stdout can follow the line of the error, because the lines of stdout and stderr arrive in any order.
    """
    texts = [_parse(line) for line in output]
    errors = [text for text, is_error in texts if is_error and not _UNINFORMATIVE.search(text)]
    return _with_code((errors or [text for text, _ in texts])[-1:], code)


def _with_code(last: list[str], code: object) -> str:
    return quote(f"exit code {code}: {last[0]}" if last else f"exit code {code}. No output is available")


def _parse(line: str) -> tuple[str, bool]:
    """Returns the text of a line of output, and whether the line names an error.

    If the line is a JSON log line, the text contains only the level and the message of the log line.
    """
    try:
        entry = json.loads(line) if line.startswith("{") else None
    except ValueError:
        entry = None
    match entry:
        case {"level": str(level), "message": str(message)}:
            return f"{level}: {message}", level in ("error", "critical", "fatal")
    return line, bool(_NAMES_AN_ERROR.search(line))
