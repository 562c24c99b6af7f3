"""Defines the error for an invalid request."""


class RequestError(Exception):
    """Raised if a request is invalid. The message says what is wrong and what to send.

    The attribute `param` is the name of the wrong field, or None if the
    whole body is wrong.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param
