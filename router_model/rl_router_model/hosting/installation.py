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
"""The environment variable that names the clone whose `host.sh` runs this command."""
_CPU_PACKAGES = ("aiohttp", "xllamacpp")


@dataclass(frozen=True)
class Installation:
    """An installation of RL Router.

    `python` is the interpreter for the CPU fallback. `clone` is the clone's folder, None if pip installed the package.
    """

    python: Path
    clone: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Returns the clone that the environment names, else the Python environment of this process."""
        folder = environment.get(CLONE_VARIABLE)
        if not folder:
            return cls(Path(sys.executable))
        return cls(Path(folder, ".venv", "bin", "python"), Path(folder))

    @property
    def vllm(self) -> str:
        """The program `vllm`, from this installation's environment if that contains the program, else from the PATH."""
        own = self.python.with_name("vllm")
        return str(own) if own.exists() else "vllm"

    @property
    def serve(self) -> str:
        """The command that serves the router API."""
        return "bash serve.sh" if self.clone else "rl-router serve"

    def require_cpu_fallback(self) -> None:
        """Creates a clone's environment if it is missing. Raises HostingError if the CPU fallback is not installed."""
        if self.clone is not None:
            script = self.clone / "scripts" / "environment.py"
            if code := subprocess.run([sys.executable, script, "run"], check=False).returncode:
                # The script has printed the reason.
                sys.exit(code)
        elif missing := [name for name in _CPU_PACKAGES if importlib.util.find_spec(name) is None]:
            raise HostingError(
                f"the CPU fallback requires {' and '.join(missing)}. Run pip install 'rl-router[model]'."
            )

    def require_vllm(self) -> None:
        """Raises HostingError if vLLM is not installed."""
        if shutil.which(self.vllm) is None:
            raise HostingError("vLLM is not installed. Run pip install vllm, or use --engine llamacpp --device cpu.")
