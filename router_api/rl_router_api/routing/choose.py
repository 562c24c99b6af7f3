"""Chooses the call whose answer is returned, or the error for the client if no target answered."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ApiError
from .outcome import MadeCall


def last_good(calls: Sequence[MadeCall]) -> MadeCall | None:
    """Returns the last call that has an answer, or None if no call has an answer."""
    return next((call for call in reversed(calls) if call.good), None)


def selected(name: str, calls: Sequence[MadeCall]) -> MadeCall | None:
    """Returns the call that the parameter `name` selects, or None if the selected call has no answer or does not exist.

    The parameter `name` is a call id, a function name or a model name. A function name or a model name selects the last
    successful call to the named target.
    """
    key = name.strip()
    by_id = next((call for call in calls if call.entry.call_id == key), None)
    if by_id is not None:
        return by_id if by_id.good else None
    return last_good([call for call in calls if key in (call.entry.function_name, call.entry.model_id)])


def first_refusal(calls: Sequence[MadeCall]) -> MadeCall | None:
    """Returns the first call whose target rejected the content of the request.

    Returns None if no target rejected the content of the request.
    """
    return next((call for call in calls if call.failure and call.failure.refused_request), None)


def is_malformed(call: MadeCall) -> bool:
    """Returns whether a call failed because the request is malformed, so that every target would reject the request."""
    return call.failure is not None and call.failure.is_malformed


def nobody_answered(calls: Sequence[MadeCall]) -> ApiError:
    """Returns the error for the client if no call succeeded. The HTTP status of the error depends on the failures."""
    failures = [call.failure for call in calls if call.failure is not None]
    if not failures:
        remedy = "Check `/health`, add targets to `routing.fallback` if this field is set, or retry later."
        return ApiError(503, f"No model could be called. {remedy}", code="no_target")
    refusals = [failure.refusal for failure in failures if failure.refusal is not None]
    if len(refusals) == len(failures):
        return refusals[-1]
    if (refusal := first_refusal(calls)) is not None:
        return refused_by_target(refusal)
    reasons = "; ".join(dict.fromkeys(failure.message for failure in failures))
    waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
    retry_after = min(waits) if waits else None
    if all(failure.is_quota for failure in failures):
        message = f"The quota of every called model is exhausted: {reasons}. Raise the quota at the provider."
        return ApiError(429, message, code="insufficient_quota", retryable=False)
    if all(failure.status == 429 or failure.is_quota for failure in failures):
        message = f"No called model has capacity: {reasons}. Retry later."
        return ApiError(429, message, code="rate_limit_exceeded", retry_after=retry_after or 1.0)
    if all(failure.kind == "timeout" for failure in failures):
        return ApiError(504, f"No model answered in time: {reasons}. Retry later.", code="upstream_timeout")
    is_down = all(failure.kind == "refused" or failure.status in (429, 503) for failure in failures)
    status = 503 if is_down else 502
    message = f"No model answered: {reasons}. Retry later, or check `/health`."
    return ApiError(status, message, code="upstream_error", retry_after=retry_after)


def refused_by_target(call: MadeCall) -> ApiError:
    """Returns the error for the client if a target rejected the request, with the target's status and error message.

    If the target sent no error message, the message of the failure is used. Raises ValueError if the call did not fail.
    """
    failure = call.failure
    if failure is None:
        raise ValueError(f"the call {call.entry.call_id} did not fail. Pass a failed call")
    error = failure.error
    return ApiError(
        failure.status or 400,
        str(error.get("message") or f"{failure.message}."),
        kind=_text(error.get("type")) or "invalid_request_error",
        param=_text(error.get("param")),
        code=_text(error.get("code")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
