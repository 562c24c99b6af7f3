"""Defines the error of a request that cannot be decided."""


class RequestError(Exception):
    """Raised if a request cannot be decided. The message names the wrong field and the remedy.

    The attribute `param` is the name of the wrong field, or None if the
    whole body is wrong.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param
