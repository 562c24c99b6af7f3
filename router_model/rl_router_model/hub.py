"""Fetches a GGUF file from Hugging Face's hub or a mirror: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE."""

import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote

from rl_router_model.problem import ExitCode, StartError

SCHEME = "hf://"
_PLACE = re.compile(r"hf://(?P<repository>[^/]+/[^/@]+)(?:@(?P<revision>.+?))?/(?P<file>.+\.gguf)")
_PARTS = re.compile(r"-00001-of-(\d{5})\.gguf$")
_SILENCE = 60.0
_REFUSALS = {401: ExitCode.HUB_UNAUTHORIZED, 403: ExitCode.HUB_FORBIDDEN, 404: ExitCode.HUB_NOT_FOUND}


@dataclass(frozen=True)
class Place:
    """A file on the hub."""

    repository: str
    revision: str
    file: str


def read(model: str) -> Place:
    """What `hf://org/name[@revision]/file.gguf` names. Raises StartError."""
    written = _PLACE.fullmatch(model)
    if not written:
        raise StartError(
            ExitCode.COMMAND_LINE, f"--model {model} names no GGUF file: write hf://org/name[@revision]/file.gguf"
        )
    return Place(written["repository"], written["revision"] or "main", written["file"])


def fetch(place: Place, environment: Mapping[str, str] = os.environ) -> Path:
    """The file on this machine, fetched where it is not there yet, with all parts of a model that is split into parts.
    Raises StartError."""
    home = Path(environment.get("HF_HOME") or Path(environment.get("HOME", "/tmp")) / ".cache/huggingface")  # noqa: S108
    folder = home / "rl-router" / place.repository / place.revision
    for file in _parts(place.file):
        if not (folder / file).exists():
            _fetch(Place(place.repository, place.revision, file), folder / file, environment)
    return folder / place.file


def _parts(file: str) -> list[str]:
    split = _PARTS.search(file)
    if not split:
        return [file]
    count = split[1]
    return [f"{file[: split.start()]}-{part:05}-of-{count}.gguf" for part in range(1, int(count) + 1)]


def _fetch(place: Place, target: Path, environment: Mapping[str, str]) -> None:
    if environment.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        message = f"{place.file} of {place.repository} is not in {target.parent}, and HF_HUB_OFFLINE is set"
        raise StartError(ExitCode.MODEL_MISSING, message)
    endpoint = (environment.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{place.repository}/resolve/{quote(place.revision, safe='')}/{quote(place.file)}"
    request = urllib.request.Request(url, headers={"User-Agent": "rl-router"})  # noqa: S310 - an operator's own hub
    if token := environment.get("HF_TOKEN"):
        # The hub redirects to a store of files, which the token is not for.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        _download(request, target)
    except urllib.error.HTTPError as error:
        error.close()
        code = _REFUSALS.get(error.code, ExitCode.HUB_FAILED)
        raise StartError(code, _refusal(place, endpoint, error.code)) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        message = f"{place.file} of {place.repository} cannot be fetched from {endpoint}: {reason}"
        raise StartError(ExitCode.HUB_UNREACHABLE, message) from None


def _download(request: urllib.request.Request, target: Path) -> None:
    """Into a file beside the target first: half a model must never be taken for a whole one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    with urllib.request.urlopen(request, timeout=_SILENCE) as response, partial.open("wb") as file:  # noqa: S310
        size = response.headers.get("Content-Length")
        shutil.copyfileobj(response, file, 1024 * 1024)
        if size and file.tell() != int(size):
            raise OSError(f"the connection ended after {file.tell()} of {size} bytes; the next start tries again")
    partial.replace(target)


def _refusal(place: Place, endpoint: str, status: int) -> str:
    what = f"{place.file} of {place.repository} at {place.revision}"
    if status in (401, 403):
        return f"{endpoint} refuses {what} ({status}): it is private or gated, set HF_TOKEN to a token that may read it"
    if status == 404:
        return f"{endpoint} has no {what} (404): check the repository, the revision and the file's name"
    return f"{endpoint} answers {status} for {what}: try again later"
