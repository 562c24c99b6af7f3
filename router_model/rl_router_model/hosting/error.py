"""Defines the error that is raised if the router model cannot be hosted."""


class HostingError(Exception):
    """Raised if the router model cannot be hosted.

    The error message names the error and the remedy in one line. The attribute `code` is the exit code of the command.
    The exit code is 2 if the command line is invalid, the engine's exit code if the engine ended with an error, and 1
    for every other error.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
