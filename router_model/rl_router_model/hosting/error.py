"""The error of a router model that cannot be hosted."""


class HostingError(Exception):
    """Raised if the router model cannot be hosted. The message says in one line what is wrong and how to fix it.

    `code` is the exit code of the command: 2 for the command line, the server's own code if it ended, else 1.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
