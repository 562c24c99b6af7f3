"""Defines the exit codes of the CPU fallback, and the error that is raised if the CPU fallback cannot start."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """The reason why the CPU fallback cannot start, as an exit code.

    The attribute `means` explains the reason in words. The code 2 is the exit code of Python's module argparse for an
    invalid command line. In RL Router, only the CPU fallback defines the exit codes 80 to 87. Python reports errors
    with the code 1 or 2, programs that follow sysexits.h exit with 64 to 78, and the router API's own codes are 90 and
    91. If llama.cpp crashes, a signal ends the CPU fallback, and a shell and Kubernetes report an exit code above 128.
    On GPUs, vLLM replaces the CPU fallback. If vLLM fails, vLLM exits with the code 1 or 2, or a signal ends vLLM.
    """

    means: str

    def __new__(cls, code: int, means: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.means = means
        return member

    COMMAND_LINE = (
        2,
        "the command line is invalid, or the artefact, the chat template or the TLS certificate cannot be used",
    )
    MODEL_MISSING = 80, "the option `--model` does not name a usable GGUF file"
    HUB_UNAUTHORIZED = 81, "the model hub returned 401: the token is missing or wrong, or the repository does not exist"
    HUB_FORBIDDEN = 82, "the model hub returned the status 403, because the token has no access to the repository"
    HUB_NOT_FOUND = 83, "the model hub returned the status 404, because the repository, revision or file does not exist"
    HUB_UNREACHABLE = 84, "the model hub cannot be reached, or a download failed, for example because the disk is full"
    HUB_FAILED = 85, "the model hub returned an error with a status other than 401, 403 or 404"
    ENGINE = 86, "llama.cpp cannot be loaded or cannot load the model, or the bundled model is not installed"
    ADDRESS = 87, "the server of the router model cannot listen on the configured address or port"


class StartError(Exception):
    """Raised if the CPU fallback cannot start. The error message names the error and the remedy in one line."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
