"""The exceptions of the router API, as a class tree.

    RlRouterError
    ├── ApiError                  the error response to a client: status, message, field and code
    │   └── UnaffordableError     a money limit does not allow a call
    ├── ClientGoneError           the client disconnected before the request was parsed
    ├── UpstreamError             an upstream failed or could not be used
    │   ├── CallFailedError       an attempt to call an upstream failed or could not start
    │   ├── TransportError        no complete HTTP response: refused, reset, timeout, broken
    │   ├── ProxyRefusedError     the proxy refused to connect to the upstream, or is not supported
    │   ├── BrokenAnswerError     the body of a response is truncated, damaged or not an answer
    │   │   └── UnusableAnswerError     the response contains an error or no answer, or is too large
    │   │       └── EventTooLargeError
    │   ├── NoCapacityError       the upstream has no free slot
    │   ├── ListingError          the upstream's list of models cannot be read, or is empty
    │   └── NoDecisionError       the router model was not called, or the call failed
    └── SetupError                the server cannot start, or cannot use a changed file
        ├── ConfigurationError
        ├── KeysError
        └── ListenError

The dialects write an `ApiError` as a response body. The module `server/start_errors.py` turns a `SetupError` into a
line on standard error and an exit code.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

FaultKind = Literal["refused", "reset", "timeout", "broken"]
FailureKind = Literal["refused", "reset", "timeout", "broken", "unusable", "status", "busy", "unaffordable"]
_MAX_MESSAGE = 10_000
"""The number of characters after which the message of an `ApiError` is cut off."""
_MAX_PARAM = 500
"""The number of characters after which the attribute `param` of an `ApiError` is cut off."""


class RlRouterError(Exception):
    """The base class of all exceptions of the router API."""


class ApiError(RlRouterError):
    """The error that a client gets instead of an answer.

    The attribute `status` is the HTTP status of the error response. The attribute `kind` is the error's `type` in
    OpenAI's API. The attribute `param` is the name of the request field that caused the error. The attribute `code` is
    a stable identifier for programs. The attribute `retry_after` is the number of seconds after which the client may
    retry the request. Each of the attributes `param`, `code` and `retry_after` may be None. If the attribute
    `retryable` is False, the error response tells the client's SDK not to retry the request. The attribute `headers`
    contains further headers of the error response.
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
        # A message may contain a value of megabytes from the client's request, such as the name of an unknown model.
        self.message = message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…"
        self.kind = kind or _kind_of(status)
        self.param = param and param[:_MAX_PARAM]
        self.code = code
        self.retry_after = retry_after
        self.retryable = retryable
        self.headers = headers or {}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Returns an `ApiError` with HTTP status 400, for a request that the client must change."""
    return ApiError(400, message, param=param, code=code)


class UnaffordableError(ApiError):
    """A money limit does not allow a call, usually because of the call's worst-case cost.

    The client gets this error only if no target answers the request.
    """


class ClientGoneError(RlRouterError):
    """The client disconnected before the router API parsed the request."""


class UpstreamError(RlRouterError):
    """An upstream failed or could not be used."""


class CallFailedError(UpstreamError):
    """An attempt to call an upstream failed or could not start.

    Clients may see the text `message`, but not the text `log_text`. The attribute `error` contains the fields of the
    upstream's error that are neither lists nor objects. The attribute `retry_after` is the number of seconds after
    which the upstream allows a retry, or None if unknown. The attribute `retriable` is True if the router API may retry
    the attempt at the same upstream. The attribute `is_malformed` is True if every upstream would reject the body of
    the request. The attribute `is_quota` is True if a quota or spend limit of the account at the upstream is exhausted.
    The attribute `refusal` is the error for the client if a money limit prevented the call.
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
        is_malformed: bool = False,
        is_quota: bool = False,
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
        self.is_malformed = is_malformed
        self.is_quota = is_quota
        self.refusal = refusal
        self.log_text = log_text

    @property
    def refused_request(self) -> bool:
        """Returns whether the upstream rejected the content of the request."""
        return self.status in (400, 413, 422) and not self.is_quota

    @property
    def may_refuse_additions(self) -> bool:
        """Returns whether the upstream may have rejected the request because of the router API's additions."""
        return self.refused_request and not self.is_malformed

    @property
    def counts_for_breaker(self) -> bool:
        """Returns whether the circuit breaker counts the failure.

        The circuit breaker does not count failures that the prompt may easily have caused, such as a rejected request.
        """
        return self.kind in ("refused", "reset", "timeout", "broken") or (self.status or 0) >= 500

    @property
    def billed(self) -> bool:
        """Returns whether the upstream may have generated and billed output before the failure."""
        return self.kind in ("reset", "timeout", "broken", "unusable")


class TransportError(UpstreamError):
    """The upstream sent no complete response.

    The attribute `kind` is `refused` (the router API cannot connect to the upstream), `reset` (the connection was
    lost), `timeout` (the connect timeout or idle timeout expired) or `broken` (the request or response is invalid).
    """

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ProxyRefusedError(UpstreamError):
    """The proxy refused to connect to the upstream, has an invalid URL, or is of a kind that is not supported.

    If the proxy refused to connect, the error message contains the HTTP status that the proxy returned.
    """


class BrokenAnswerError(UpstreamError):
    """The body of a response is truncated, damaged or not an answer. The error message says what is wrong."""


class UnusableAnswerError(BrokenAnswerError):
    """The response of an upstream contains an error or no answer, or is too large.

    The attribute `text` is the text of the error that the upstream sent instead of an answer, or an empty text if the
    upstream sent no error. The attribute `usage` is the reported token usage as JSON, or empty if none was reported.
    """

    def __init__(self, reason: str, *, text: str = "", usage: bytes = b"") -> None:
        super().__init__(reason)
        self.text = text
        self.usage = usage


class EventTooLargeError(UnusableAnswerError):
    """An event in the stream of an upstream exceeds the maximum size."""


class NoCapacityError(UpstreamError):
    """The upstream has no free slot, because the number of in-flight calls has reached the limit `max_in_flight`."""


class ListingError(UpstreamError):
    """The upstream's list of models cannot be read, or is empty.

    The attribute `status` is the HTTP status of the upstream's response, or None after a TransportError.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NoDecisionError(UpstreamError):
    """The router model was not called, or the call to the router model failed.

    The attribute `cost` is the cost of the failed call in US dollars, or 0 if the router model was not called.
    """

    def __init__(self, message: str, cost: Decimal = Decimal(0)) -> None:
        super().__init__(message)
        self.cost = cost


class SetupError(RlRouterError):
    """The server cannot start, or cannot use a changed configuration file or keys file.

    The error message is one line that says what to fix.
    """


class ConfigurationError(SetupError):
    """The configuration is invalid. The error message names the invalid file, environment variable, flag or field."""


class KeysError(SetupError):
    """The keys file (the file with the clients' API keys) is invalid or cannot be read.

    The attribute `path` is the path of the keys file. The error message begins with this path.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class ListenError(SetupError):
    """The server cannot listen on an address and port."""


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
