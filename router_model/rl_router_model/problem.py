"""What keeps the server from starting, and the exit code that says so."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """Why the server ended before it served, and a clause for a person that says so.

    argparse ends with 2. Nobody else uses the other codes: Python itself ends with 1 or 2, programs that follow
    sysexits.h with 64 to 78, the router API with 90 to 99, llama.cpp by a signal, and a signal is 128 and above. vLLM,
    which runs in this server's place on GPUs, ends with 1, with 2 or by a signal.
    """

    means: str

    def __new__(cls, code: int, means: str) -> Self:
        """Makes a code that knows its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.means = means
        return member

    COMMAND_LINE = 2, "the command line, or a file that it names, cannot be used"
    MODEL_MISSING = 80, "there is no GGUF file that can be used where `--model` says"
    HUB_UNAUTHORIZED = 81, "the hub answered 401: the token is missing or wrong"
    HUB_FORBIDDEN = 82, "the hub answered 403: the token has no access to the repository"
    HUB_NOT_FOUND = 83, "the hub answered 404: no such repository, revision or file"
    HUB_UNREACHABLE = 84, "the hub cannot be reached, or the download broke off"
    HUB_FAILED = 85, "the hub answered with another error"
    ENGINE = 86, "llama.cpp cannot be loaded, or it refuses the model"
    ADDRESS = 87, "the address or the port cannot be listened on"


class StartError(Exception):
    """What is wrong and how to mend it, in one line, and the exit code."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
