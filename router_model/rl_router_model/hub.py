"""Downloads GGUF files from the Hugging Face hub or a mirror.

The environment variables HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE configure the download. The package
huggingface_hub is not used, because the package would add 31 MB to the container image. The package huggingface_hub
also rejects mirrors that only serve files, and reports an unreachable hub only after 24 s.
"""

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
_SOURCE = re.compile(r"hf://(?P<repository>[^/]+/[^/@]+)(?:@(?P<revision>.+?))?/(?P<file>.+\.gguf)")
_FIRST_PART = re.compile(r"-00001-of-(?P<count>\d{5})\.gguf$")
_READ_TIMEOUT = 60.0
"""A download fails after this number of seconds without data from the hub."""
_EXIT_CODES = {401: ExitCode.HUB_UNAUTHORIZED, 403: ExitCode.HUB_FORBIDDEN, 404: ExitCode.HUB_NOT_FOUND}


@dataclass(frozen=True)
class HubFile:
    """A file in a repository on the Hugging Face hub.

    The attribute `path` is the path of the file in the repository.
    """

    repository: str
    revision: str
    path: str

    def __str__(self) -> str:
        return f"{self.path} of {self.repository} at {self.revision}"


def read(model: str) -> HubFile:
    """Returns the file on the hub that `model` names.

    Raises StartError if the argument `model` does not have the form `hf://org/name[@revision]/file.gguf`.
    """
    match = _SOURCE.fullmatch(model)
    if not match:
        raise StartError(
            ExitCode.COMMAND_LINE,
            f"--model {model} does not name a GGUF file on the hub: use hf://org/name[@revision]/file.gguf",
        )
    return HubFile(match["repository"], match["revision"] or "main", match["file"])


def fetch(file: HubFile, environment: Mapping[str, str] = os.environ) -> Path:
    """Returns the file's path on this machine.

    Downloads the file first if the file is missing on this machine. If the file is the first of several files of a
    model, downloads all missing files of the model.

    Raises StartError.
    """
    home = Path(environment.get("HF_HOME") or Path(environment.get("HOME", "/tmp")) / ".cache/huggingface")  # noqa: S108
    folder = home / "rl-router" / file.repository / file.revision
    for path in _parts(file.path):
        if not (folder / path).exists():
            _fetch(HubFile(file.repository, file.revision, path), folder / path, environment)
    return folder / file.path


def _parts(path: str) -> list[str]:
    first = _FIRST_PART.search(path)
    if not first:
        return [path]
    count = first["count"]
    return [f"{path[: first.start()]}-{part:05}-of-{count}.gguf" for part in range(1, int(count) + 1)]


def _fetch(file: HubFile, target: Path, environment: Mapping[str, str]) -> None:
    if environment.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        message = f"HF_HUB_OFFLINE is set, and {target} does not exist: unset HF_HUB_OFFLINE, or copy the file there"
        raise StartError(ExitCode.MODEL_MISSING, message)
    endpoint = (environment.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{file.repository}/resolve/{quote(file.revision, safe='')}/{quote(file.path)}"
    request = urllib.request.Request(url, headers={"User-Agent": "rl-router"})  # noqa: S310 - the user's own hub
    if token := environment.get("HF_TOKEN"):
        # The hub redirects to file storage, which must not get the token.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        _download(request, target)
    except urllib.error.HTTPError as error:
        error.close()
        code = _EXIT_CODES.get(error.code, ExitCode.HUB_FAILED)
        raise StartError(code, f"{endpoint} answered {error.code} for {file}: {_advice(error.code)}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        message = f"{file} cannot be downloaded from {endpoint}: {reason}. Check the network, HF_ENDPOINT and the disk"
        raise StartError(ExitCode.HUB_UNREACHABLE, message) from None


def _download(request: urllib.request.Request, target: Path) -> None:
    # The file gets its final name when it is complete, so that an incomplete file is never loaded.
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    with urllib.request.urlopen(request, timeout=_READ_TIMEOUT) as response, partial.open("wb") as file:  # noqa: S310
        size = response.headers.get("Content-Length")
        shutil.copyfileobj(response, file, 1024 * 1024)
        if size and file.tell() != int(size):
            raise OSError(f"the connection ended after {file.tell()} of {size} bytes")
    partial.replace(target)


def _advice(status: int) -> str:
    if status in (401, 403):
        return "the repository is private, gated or missing. Check the name, or set HF_TOKEN to a token with access"
    if status == 404:
        return "check the repository, the revision and the file's name"
    return "try again later"
