"""Reads the indexes and the memory of this machine's NVIDIA GPUs with the program nvidia-smi."""

import shutil
import subprocess
from dataclasses import dataclass

from .error import HostingError


@dataclass(frozen=True)
class Gpu:
    """A GPU with its index, and with its free and total memory in MiB."""

    index: str
    free: int
    total: int


def installed() -> tuple[str, ...]:
    """Returns the indexes of this machine's GPUs, or an empty tuple if nvidia-smi is missing or fails."""
    return tuple(line.strip() for line in _query("index") if line.strip().isdecimal())


def memory() -> tuple[Gpu, ...]:
    """Returns the GPUs of this machine for which nvidia-smi reports the free and the total memory."""
    return tuple(gpu for line in _query("index,memory.free,memory.total") if (gpu := read_gpu(line)))


def read_gpu(line: str) -> Gpu | None:
    """Returns the GPU that a line such as `0, 79000, 81559` describes, or None if a value is not a number (`[N/A]`)."""
    values = [value.strip() for value in line.split(",")]
    if len(values) != 3 or not all(value.isdecimal() for value in values):
        return None
    return Gpu(values[0], int(values[1]), int(values[2]))


def check_memory(gpus: tuple[Gpu, ...], share: str) -> None:
    """Raises HostingError if a GPU's free memory is less than the fraction `share` of the GPU's total memory."""
    for gpu in gpus:
        required = int(gpu.total * float(share))
        if gpu.free < required:
            usable = int(gpu.free / gpu.total * 100) / 100
            lower = f"Lower --gpu-memory-utilization to {usable:.2f}, stop" if usable else "Stop"
            raise HostingError(
                f"GPU {gpu.index} has {gpu.free} of {gpu.total} MiB free, but --gpu-memory-utilization {share} "
                f"requires {required} MiB. {lower} the programs that use the GPU, or choose other GPUs with --gpus."
            )


def _query(fields: str) -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
