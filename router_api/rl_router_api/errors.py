"""The one family of errors a client can see; raised where the fact is known, turned into a reply in `reply`."""

from __future__ import annotations

from typing import Any


class RouterError(Exception):
    """An answer in OpenAI's error shape.

    `status` is the HTTP status, `kind` OpenAI's `type`, `param` the field at fault, `code` a stable word for programs,
    `retry_after` seconds, and `retryable=False` tells SDKs that a repeat cannot mend it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind or _kind_of(status)
        self.param = param
        self.code = code
        self.retry_after = retry_after
        self.retryable = retryable
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The value of `error` in OpenAI's error shape."""
        return {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> RouterError:
    """A 400: the request itself has to change."""
    return RouterError(400, message, param=param, code=code)


def _kind_of(status: int) -> str:
    match status:
        case 401:
            return "authentication_error"
        case 403:
            return "permission_error"
        case 429:
            return "rate_limit_error"
        case _ if status >= 500:
            return "server_error"
        case _:
            return "invalid_request_error"
