"""Chooses the device, the engine and the GPUs, based on the options and on the GPUs of the machine."""

from dataclasses import dataclass, replace

from .error import HostingError
from .options import Options


@dataclass(frozen=True)
class Choice:
    """The device (`cuda` or `cpu`), the engine (`vllm` or `llamacpp`) and the indexes of the GPUs to use."""

    device: str
    engine: str
    gpus: tuple[str, ...] = ()


def choose(options: Options, installed: tuple[str, ...]) -> Choice:
    """Returns the device, the engine and the GPUs to use.

    The argument `installed` contains the indexes of all GPUs of this machine. Raises HostingError.
    """
    device = _device(options, installed)
    default_engine = "vllm" if device == "cuda" else "llamacpp"
    choice = Choice(device, default_engine if options.engine == "auto" else options.engine)
    if choice.engine == "vllm" and (options.decide == "policy" or options.artefact):
        option = "--artefact" if options.artefact else "--decide policy"
        raise HostingError(f"{option} requires --engine llamacpp --device cpu: vLLM contains no learned policy.", 2)
    if device == "cpu":
        return choice
    if choice.engine != "vllm":
        raise HostingError("--engine llamacpp is supported only on a CPU. Replace --device cuda with --device cpu.", 2)
    return replace(choice, gpus=_gpus(options, installed))


def _device(options: Options, installed: tuple[str, ...]) -> str:
    if options.device == "cpu":
        return "cpu"
    if options.device == "cuda" and not installed:
        raise HostingError("--device cuda: nvidia-smi lists no NVIDIA GPU. Fix the NVIDIA driver, or use --device cpu.")
    if options.device == "cuda" or (installed and options.engine != "llamacpp"):
        return "cuda"
    if options.gpus and not installed:
        message = "nvidia-smi lists no NVIDIA GPU. Fix the NVIDIA driver, or remove --gpus."
        raise HostingError(f"--gpus {','.join(options.gpus)}: {message}")
    return "cpu"


def _gpus(options: Options, installed: tuple[str, ...]) -> tuple[str, ...]:
    for gpu in options.gpus:
        if gpu not in installed:
            raise HostingError(
                f"--gpus {','.join(options.gpus)}: there is no GPU {gpu}. Use the GPUs {', '.join(installed)}."
            )
    return options.gpus or installed
