"""One attempt of a call. An attempt uses one slot of the upstream until the attempt ends.

The end of the attempt is recorded in the ledger entry of the attempt and in the circuit breaker of the upstream.
"""

from __future__ import annotations

import logging

from msgspec import Raw

from ..accounting.ledger import Entry, Status
from ..accounting.log import log
from ..errors import (
    BrokenAnswerError,
    CallFailedError,
    FailureKind,
    NoCapacityError,
    TransportError,
    UnusableAnswerError,
)  # fmt: skip
from .refusal import refusal_of, reported_failure
from .transport import Response, Transport
from .upstream import Upstream


class Attempt:
    """One attempt of a call: one HTTP request to an upstream.

    Only the first reported end of an attempt is recorded in the ledger entry and in the upstream's circuit breaker. The
    statement `with attempt:` guards a part of the attempt. An error in the guarded part ends the attempt. If the error
    is a failure of the upstream, a CallFailedError is raised instead of the error.
    """

    def __init__(self, upstream: Upstream, entry: Entry) -> None:
        self.entry = entry
        self.upstream = upstream
        self._ended = False
        self._request = b""
        self._reported = Raw()
        """The usage that the upstream has reported so far."""
        self._call = upstream.begin()

    async def send(self, transport: Transport, body: bytes, traceparent: str | None) -> Response:
        """Sends the request and returns the response before the response body is read.

        Raises CallFailedError if the status of the response is not 2xx, and TransportError if no valid headers arrive.
        """
        upstream, self._request = self.upstream, body
        response = await transport.send(
            "POST", upstream.calls_url, upstream.headers(traceparent), body, upstream.idle_timeout
        )
        if not 200 <= response.status < 300:
            try:
                raise await refusal_of(upstream, response, body)
            finally:
                response.close()
        return response

    def __enter__(self) -> None:
        """Begins the guarded part of the attempt, in which an error ends the attempt."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        failure = self._failure(error)
        if failure is None:
            self.abandoned()
        else:
            raise self._failed(failure) from (error if failure is not error else None)

    def _failure(self, error: BaseException) -> CallFailedError | None:
        """Returns the CallFailedError that replaces an error in the guarded part of the attempt.

        Returns None if the error is not a failure of the upstream, for example if the attempt was cancelled.
        """
        name = self.upstream.name
        match error:
            case CallFailedError():
                return error
            case TransportError():
                return CallFailedError(error.kind, f"`{name}`: {error}", retriable=error.kind in ("refused", "reset"))
            case TimeoutError():
                return CallFailedError("timeout", f"`{name}` sent no complete answer within the limit `router.timeout`")
            case UnusableAnswerError(text=text) if text:
                self.report(error.usage)
                return reported_failure(self.upstream, text, self._request)
            case BrokenAnswerError():
                return self._broken(error)
        return None

    def _broken(self, error: BrokenAnswerError) -> CallFailedError:
        kind: FailureKind = "broken"
        if isinstance(error, UnusableAnswerError):
            kind = "unusable"
            self.report(error.usage)
        reason = self.upstream.redact(str(error))
        return CallFailedError(kind, f"`{self.upstream.name}` sent no usable answer", log_text=reason)

    def report(self, usage: Raw | bytes, service_tier: str | None = None) -> None:
        """Records in the ledger entry the usage and the service tier that a part of an answer reports.

        An empty usage or service tier is ignored, because another part of the answer may report the usage or the
        service tier.
        """
        read = None
        if usage:
            dialect, raw = self.upstream.dialect, Raw(usage)
            self._reported = dialect.join_usage(self._reported, raw) if self._reported else raw
            read = dialect.read_usage(self._reported)
        self.entry.report(read, self._reported, service_tier)

    def succeeded(self) -> None:
        """Records that the complete answer of the upstream arrived."""
        if self._end():
            self.entry.close("ok")
            self.upstream.succeeded(self.entry.latency)

    def abandoned(self) -> None:
        """Records that the attempt was cancelled."""
        if self._end():
            self.upstream.breaker.abandoned(self._call)
            self.entry.close("cancelled")

    def _failed(self, failure: CallFailedError) -> CallFailedError:
        if self._end():
            status: Status = "timeout" if failure.kind == "timeout" else "error"
            self.entry.close(status, failure.message, billed=failure.billed or self.entry.received_bytes > 0)
            if failure.is_quota:
                self.upstream.cooldown.quota_exhausted(failure.retry_after)
            elif failure.status == 429:
                self.upstream.cooldown.rate_limited(failure.retry_after)
            reason = None if failure.refused_request else failure.message
            self.upstream.failed(self._call, reason, counts=failure.counts_for_breaker)
            log(logging.INFO, failure.message, call_id=self.entry.call_id, upstream_text=failure.log_text)
        return failure

    def _end(self) -> bool:
        if self._ended:
            return False
        self._ended = True
        self.upstream.end()
        return True


def begin_attempt(upstream: Upstream, entry: Entry) -> Attempt:
    """Returns a new attempt of a call. Raises CallFailedError if the upstream has no free slot."""
    try:
        return Attempt(upstream, entry)
    except NoCapacityError:
        failure = CallFailedError("busy", f"`{upstream.name}` has no free slot for another call", status=429)
        entry.close("error", failure.message, billed=False)
        raise failure from None
