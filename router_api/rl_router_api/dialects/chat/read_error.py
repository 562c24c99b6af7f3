"""Reads an upstream's error: what the error says about the request, the quota and the waiting time."""

from __future__ import annotations

import json
import re
from typing import Any

from ...conversation import lenient
from ..upstream_dialect import Refusal

_MALFORMED = re.compile(
    r"(invalid|malformed|bad)_?json|json_?(invalid|parse|decode|syntax)\w*|missing(_required)?(_(parameter|field|argument))?|"
    r"required_?field_?missing|parameter_?missing|(invalid|wrong|incorrect)_?type|type_error|"
    r"(string|int|float|bool|list|dict|number|model|model_attributes|dataclass)_type|(int|float|bool)_parsing",
    re.I,
)
"""The pattern of the error codes and error types that report a request body that every upstream rejects. Every upstream
rejects a request body that is not JSON, lacks a required field, or has a field of the wrong JSON type."""
_QUOTA = re.compile(
    r"insufficient_?(quota|balance|credits?|funds)|quota_?(exceeded|exhausted)_?error|exceeded_(current_)?quota\w*|"
    r"billing\w*|"
    r"(enforced_)?(spend|spending|usage|credit)_?limit\w*|credits?_?(exhausted|depleted|required)|payment_?required|"
    r"(balance|account)_?(exhausted|overdue|arrearage|suspended)\w*|arrearage",
    re.I,
)
"""The pattern of the error codes and error types that report an exhausted quota or spend limit."""
_QUOTA_WORDS = re.compile(
    r"balance (is )?(too low|insufficient|exhausted|empty)|insufficient (account )?(balance|credits?|funds|quota)|"
    r"exceeded your current (token )?quota|(does not|doesn't) have (any|enough) credits|"
    r"(quota|credits?) (has been |have been |is |are )?(exhausted|depleted|used up)|"
    r"(spend(ing)?|usage|billing|budget|credit) (hard )?limits?|(run|ran) out of credits|not enough credits|"
    r"requires (more|at least [\d.]+) credits|account is (in arrears|overdue|suspended)|payment required",
    re.I,
)
_SECONDS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*s\s*")


def read_error(text: str, request: bytes = b"") -> Refusal:
    """Returns what the text of an upstream's error says about the request, a quota and a waiting time.

    The error's words about a quota are ignored if the request body contains the same words.
    """
    try:
        body = lenient.parse(text.encode())
    except (ValueError, RecursionError):
        return Refusal({})
    error = _error_in(body)
    codes = [str(error[name]) for name in ("code", "type", "status", "reason") if isinstance(error.get(name), str)]
    fields = {name: value for name, value in error.items() if not isinstance(value, (dict, list))}
    if message := _message_of(error):
        fields["message"] = message
    words = _QUOTA_WORDS.search(message)
    return Refusal(
        fields,
        status=_status_of(error),
        is_malformed=_is_malformed(codes, body),
        names_quota=any(map(_QUOTA.fullmatch, codes)),
        mentions_quota=words is not None and not _contains(request, words[0]),
        retry_after=_retry_delay(error.get("details")),
    )


def _contains(request: bytes, words: str) -> bool:
    """Returns whether a request body contains the words, in upper or lower case, with or without JSON escapes."""
    try:
        text = json.dumps(lenient.parse(request), ensure_ascii=False) if request else ""
    except (ValueError, RecursionError):
        text = request.decode(errors="replace")
    return words.lower() in text.lower()


def _error_in(body: Any) -> dict[str, Any]:
    """Returns the fields that describe the error in a response body.

    Different upstreams put the error in different places in the response body.
    """
    if isinstance(body, list) and body:
        # Google's endpoint wraps the error in a list.
        body = body[0]
    if not isinstance(body, dict):
        return {"message": body} if isinstance(body, str) else {}
    if isinstance(base := body.get("base_resp"), dict) and base.get("status_code"):
        # MiniMax reports errors beside an empty completion.
        return {"code": base.get("status_code"), "message": base.get("status_msg")}
    error = body.get("error") or body
    return error if isinstance(error, dict) else {"message": str(error), **_codes_of(body)}


def _codes_of(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("code", "type") if isinstance(body.get(name), (str, int))}


def _message_of(error: dict[str, Any]) -> str:
    message = error.get("message") or error.get("detail") or error.get("msg")
    if not message:
        return ""
    return lenient.well_formed(message if isinstance(message, str) else json.dumps(message))


def _status_of(error: dict[str, Any]) -> int | None:
    """Returns the HTTP error status that the error's code names, or None if the code does not name an error status."""
    for code in (error.get("code"), error.get("status_code")):
        status = int(code[:4]) if isinstance(code, str) and code.isdecimal() else code
        if isinstance(status, int) and 400 <= status <= 599:
            return status
    return None


def _is_malformed(codes: list[str], body: Any) -> bool:
    """Returns whether an upstream's error reports a request body that every upstream rejects.

    If the response body has a list `detail`, as in FastAPI's errors, the result depends on the entries of the list.
    Otherwise, the result depends on the parameter `codes`.
    """
    details = body.get("detail") if isinstance(body, dict) else None
    if isinstance(details, list) and details:
        return all(isinstance(detail, dict) and _is_malformed_detail(detail) for detail in details)
    return any(map(_MALFORMED.fullmatch, codes))


def _is_malformed_detail(detail: dict[str, Any]) -> bool:
    # Servers accept different forms of the field `content`, so another upstream may accept the body.
    location = detail.get("loc")
    is_content = isinstance(location, list) and "content" in location
    return bool(_MALFORMED.fullmatch(str(detail.get("type")))) and not is_content


def _retry_delay(details: Any) -> float | None:
    """Returns the retry delay, in seconds, from Google's `RetryInfo` object in the details of an error.

    Returns None if the details contain no retry delay.
    """
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("RetryInfo"):
            match = _SECONDS.fullmatch(str(detail.get("retryDelay")))
            return float(match[1]) if match else None
    return None
