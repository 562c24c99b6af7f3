"""Why a container ended: what its exit code and its last lines tell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .reasons import Reason
from .words import lines, quote

_NAMES_AN_ERROR = re.compile(r"(?i)^(?:[\w.]*(?:error|exception)\b|(?:\w+: )?(?:fatal|error)\b)")
_SAYS_NOTHING = re.compile(r"(?i)see root cause|engine process failed|engine core initialization failed")
_MODEL = (
    (
        Reason.MODEL_PATH_MISSING,
        re.compile(
            r"no such model file|no \.gguf file in|is no GGUF file|model file \S+ cannot be read|HFValidationError|"
            r"Repo id must be in the form|local directory specified|does not appear to have a file named|"
            r"and HF_HUB_OFFLINE is set"
        ),
    ),
    (Reason.HUB_FORBIDDEN, re.compile(r"\b403 (?:Client Error|Forbidden)|refuses .+ \(403\)")),
    (Reason.HUB_UNAUTHORIZED, re.compile(r"\b401 (?:Client Error|Unauthorized)|refuses .+ \(401\)")),
    (
        Reason.HUB_NOT_FOUND,
        re.compile(
            r"\b404 (?:Client Error|Not Found)|has no .+ \(404\)|(?:Repository|Revision)NotFoundError|"
            r"is not a valid model identifier"
        ),
    ),
    (Reason.HUB_FORBIDDEN, re.compile(r"GatedRepoError|gated repo|is gated")),
    (
        Reason.HUB_UNREACHABLE,
        re.compile(
            r"couldn't connect to '?http|LocalEntryNotFoundError|OfflineModeIsEnabled|Cannot reach http|"
            r"Max retries exceeded|cannot be fetched from|name resolution|Name or service not known|ProxyError"
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
"""What vLLM, the hub's client and the CPU fallback say, the most telling first: an answer of the hub before what it may
be the answer to."""


def why(ended: Mapping[str, Any], *, model: bool) -> tuple[Reason, str]:
    """The reason, and the container's own words, of a `terminated` state; `model` where it is the router model's."""
    said = lines(ended.get("message") or "")
    if ended.get("reason") == "OOMKilled":
        return Reason.OUT_OF_MEMORY, "killed for want of memory"
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return Reason.CONTAINER_NOT_STARTED, quote(ended.get("message"))
    if model and (known := _known(said)):
        return known
    return Reason.CRASH_LOOPING, _last_words(said, ended.get("exitCode"))


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
    errors = [each for each in texts if _NAMES_AN_ERROR.search(each) and not _SAYS_NOTHING.search(each)]
    last = (errors or texts)[-1:]
    return quote(f"exit code {code}: {last[0]}" if last else f"exit code {code}, without a word")


def _logged(line: str) -> str:
    """The message of a line that is a JSON log's."""
    if not line.startswith("{"):
        return line
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    message = entry.get("message")
    return f"{entry.get('level', '')}: {message}" if isinstance(message, str) else line
