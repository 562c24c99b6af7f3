"""Why a container ended, from its exit code and its last lines."""

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
    85: Reason.CRASH_LOOPING,  # the hub answered with another error
    86: Reason.CRASH_LOOPING,  # llama.cpp refuses the model
    87: Reason.CRASH_LOOPING,  # its address cannot be listened on
}
"""The exit codes that the CPU fallback alone ends with; its 2 for a wrong command line is vLLM's too."""
_API: Mapping[int, Reason] = {
    ExitCode.CONFIGURATION: Reason.CONFIGURATION_REFUSED,
    ExitCode.KEYS_FILE: Reason.CONFIGURATION_REFUSED,
    ExitCode.ADDRESS: Reason.CRASH_LOOPING,
}
CODES: Mapping[Component, Mapping[int, Reason]] = {"model": CPU_FALLBACK, "api": _API}
"""The reasons of the exit codes of our own programs, by the container that runs them."""

_NAMES_AN_ERROR = re.compile(r"(?i)^(?:[\w.]*(?:error|exception)|fatal)\b")
"""How Python, Go and many others begin the line that tells."""
_SAYS_NOTHING = re.compile(r"(?i)see root cause|engine process failed|engine core initialization failed")
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
"""What vLLM, the hub's client and CUDA say. A status of the hub comes first, because a vaguer error may wrap it."""


def why(ended: Mapping[str, Any], *, model: bool, codes: Mapping[int, Reason]) -> tuple[Reason, str]:
    """The reason, and the container's own words, of a `terminated` state.

    `model`: the pod is the router model's. `codes`: the exit codes of the container's program, which tell more than any
    words.
    """
    said = lines(ended.get("message") or "")
    if ended.get("reason") == "OOMKilled":
        return Reason.OUT_OF_MEMORY, "killed for want of memory"
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return Reason.CONTAINER_NOT_STARTED, quote(ended.get("message"))
    code = ended.get("exitCode")
    if reason := codes.get(code or 0):
        return reason, _coded(said[-1:], code)
    if model and (known := _known(said)):
        return known
    return Reason.CRASH_LOOPING, _last_words(said, code)


def _known(said: list[str]) -> tuple[Reason, str] | None:
    """The line that tells, and the one after it: the hub's client puts the address there."""
    for reason, pattern in _MODEL:
        for number in range(len(said) - 1, -1, -1):
            if pattern.search(said[number]):
                return reason, quote(" ".join(said[number : number + 2]))
    return None


def _last_words(said: list[str], code: object) -> str:
    """Standard output and error come in any order: the last line that names an error goes before the last one."""
    texts = [_logged(each) for each in said]
    errors = [text for text, is_error in texts if is_error and not _SAYS_NOTHING.search(text)]
    return _coded((errors or [text for text, _ in texts])[-1:], code)


def _coded(last: list[str], code: object) -> str:
    return quote(f"exit code {code}: {last[0]}" if last else f"exit code {code}, without a word")


def _logged(line: str) -> tuple[str, bool]:
    """The line, or the message of a line that is a JSON log's, and whether it names an error."""
    try:
        entry = json.loads(line) if line.startswith("{") else None
    except ValueError:
        entry = None
    match entry:
        case {"level": str(level), "message": str(message)}:
            return f"{level}: {message}", level in ("error", "critical", "fatal")
    return line, bool(_NAMES_AN_ERROR.search(line))
