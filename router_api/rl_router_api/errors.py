"""Every error of the API: one tree, raised where the fact is known.

    RlRouterError
    ├── ApiError                  a client's request cannot be answered; status, message, field and code for the client
    │   └── UnaffordableError     a limit on money leaves no room for a call
    ├── ClientGoneError           the client went away before its request was whole
    ├── UpstreamError             an upstream did not do its part
    │   ├── CallFailedError       an attempt at a call brought no answer
    │   ├── TransportError        no whole HTTP response: refused, reset, timeout, broken
    │   ├── ProxyRefusedError     the proxy opens no way to the upstream
    │   ├── BrokenAnswerError     the bytes of a response are no answer
    │   │   └── EventTooLargeError
    │   ├── NoCapacityError       as many calls are in flight as there may be
    │   ├── ListingError          the upstream's list of models cannot be had
    │   └── NoDecisionError       the router model cannot be asked, or failed
    └── SetupError                the server cannot start, or cannot use a changed file
        ├── ConfigurationError
        ├── KeysError
        └── ListenError

The dialects turn an `ApiError` into bytes, and `server/start_errors.py` a `SetupError` into a line and an exit code.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

FaultKind = Literal["refused", "reset", "timeout", "broken"]
FailureKind = Literal["refused", "reset", "timeout", "broken", "status", "busy", "unaffordable"]


class RlRouterError(Exception):
    """The root of the tree."""


class ApiError(RlRouterError):
    """What a client is told instead of an answer.

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


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Returns a 400: the request itself has to change."""
    return ApiError(400, message, param=param, code=code)


class UnaffordableError(ApiError):
    """A call whose worst case does not fit the limit; the rest is what the client is told if nobody answers."""


class ClientGoneError(RlRouterError):
    """The client went away before its request was whole."""


class UpstreamError(RlRouterError):
    """An upstream did not do its part."""


class CallFailedError(UpstreamError):
    """An attempt that brought no answer.

    `message` may be shown to clients, `log_text` may not. `error` is the upstream's own error object, `retry_after` the
    seconds that it named. `retriable` is whether the same upstream may well answer a second try. `own_limit` is whether
    it refused the request for a limit of its own (context length, an unsupported parameter, a content filter), so that
    another target may well take it. `refusal` is what the client is told if the call was not even made, for want of
    money.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        error: dict[str, Any] | None = None,
        retriable: bool = False,
        own_limit: bool = False,
        refusal: ApiError | None = None,
        log_text: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.error = error or {}
        self.retriable = retriable
        self.own_limit = own_limit
        self.refusal = refusal
        self.log_text = log_text

    @property
    def refused_request(self) -> bool:
        """Whether the upstream found fault with the request itself."""
        return self.status in (400, 413, 422)

    @property
    def counts_for_breaker(self) -> bool:
        return self.status is None or self.status >= 500 or self.kind == "broken"

    @property
    def billed(self) -> bool:
        """Whether something may have been generated before it failed."""
        return self.kind in ("reset", "timeout", "broken")


class TransportError(UpstreamError):
    """No whole response. `kind` is whether the connection was refused, reset, silent too long, or its bytes broken."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ProxyRefusedError(UpstreamError):
    """The proxy opens no way to the upstream; the message says what it answered."""


class BrokenAnswerError(UpstreamError):
    """The upstream's bytes are no answer; the message says why."""


class EventTooLargeError(BrokenAnswerError):
    """An event of a stream is larger than any chunk may be."""


class NoCapacityError(UpstreamError):
    """As many calls are in flight as there may be."""


class ListingError(UpstreamError):
    """The upstream's list of models cannot be had; the message says why. `status` is None if nothing answered."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NoDecisionError(UpstreamError):
    """The router model cannot be asked, or failed; the message says why. `cost` is what that cost, in US dollars."""

    def __init__(self, message: str, cost: Decimal = Decimal(0)) -> None:
        super().__init__(message)
        self.cost = cost


class SetupError(RlRouterError):
    """The server cannot start, or cannot use a changed file; the message is one line with the remedy."""


class ConfigurationError(SetupError):
    """The configuration cannot be used; the message names the field."""


class KeysError(SetupError):
    """The keys file at `path` cannot be used; the message names the field."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class ListenError(SetupError):
    """The server cannot listen on a port."""


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
