"""Reads an upstream's error: what the error says about the request, the quota and the waiting time."""

from __future__ import annotations

import json
import re
from typing import Any

from ...conversation import lenient
from ..upstream_dialect import Refusal
from .error_waits import named_wait
from .error_words import is_too_large, mentions_quota

_NOT_JSON = re.compile(r"(invalid|malformed|bad)_?json|json_?(invalid|parse|decode|syntax)\w*", re.I)
"""The pattern of the error codes and error types that report a request body that is not JSON."""
_FIELD_FAULT = re.compile(
    r"missing(_required)?(_(parameter|field|argument))?|required_?field_?missing|parameter_?missing|"
    r"(invalid|wrong|incorrect)_?type|type_error|"
    r"(string|int|float|bool|list|dict|number|model|model_attributes|dataclass)_type|(int|float|bool)_parsing",
    re.I,
)
"""The pattern of the error codes and error types that report a missing field or a field with a wrong JSON type."""
_REQUIRED = (["messages"], ["messages", "role"])
"""The paths, without indexes, of the fields that every upstream requires with the same JSON type. Upstreams differ in
which other fields they require, and in the types and the nulls that they accept."""
_QUOTED = re.compile(r"['\"`]([\w.\[\]]+)['\"`]")
_QUOTA = re.compile(
    r"(insufficient|not_?enough)_?([a-z]+_)?(quota|balance|credits?|funds)(_?error)?|quota_?(exceeded|exhausted)_?error|"
    r"token_quota_reached|pre_consume_token_quota_failed|([a-z_]+\.)?(free_?)?resource_?pack_?exhausted|"
    r"exceeded_(current_)?quota\w*|allocation_?quota\.free_?tier_?only|billing\w*|(pre|post)paid_?bill_?overdue|"
    r"(enforced_)?(spend|spending|usage|credit|budget)_?limit\w*|(set_?limit|([a-z]+_)?budget)_?exceeded|blocked_api_access|"
    r"credits?_?(exhausted|depleted|required)|payment_?required|"
    r"(balance|account)_?(exhausted|overdue|arrearage|suspended)\w*|arrearage",
    re.I,
)
"""The pattern of the error codes and error types that report an exhausted quota or spend limit."""
_MAYBE_QUOTA = re.compile(r"(account_?|free_?|user_?)?quota_?(exceeded|exhausted)", re.I)
"""The pattern of the error codes and error types that report an exhausted quota, or a rate limit if the error names a
waiting time."""
_RATE = re.compile(r".*rate_?limit(ed|_?(error|exceeded|reached)).*|throttl.*", re.I)
"""The pattern of the error codes and error types that report a rate limit. The pattern does not match the bare
name `rate_limit`, because such an error may also report an exhausted quota."""
_OTHER = re.compile(
    r"(invalid|missing|unknown|unrecognized|unsupported)_?(?!_?(request|error|account|payment|subscription)).+|"
    r"(authentication|permission|not_found)_error|permission_denied|content_(filter|policy).*|"
    r"(context_length|string_above|model_not)_.*|overloaded.*",
    re.I,
)
"""The pattern of the error codes and error types that name a reason that is neither a quota nor a rate limit."""
_MESSAGES = (
    "message", "faultstring", "detail", "msg", "error_message", "error_msg", "errorMessage", "Message",
    "error_description", "description",
)  # fmt: skip
"""The names of the fields in which upstreams put the message of an error."""
_MAX_CODE = 100
"""The maximum number of characters of a code that are read."""
_MINIMAX_RATE_LIMITS = (1002, 1039, 1041, 2045)
"""The codes of MiniMax for limits of requests, tokens and connections, and for a fast growth of requests."""


def read_error(text: str, request: bytes = b"") -> Refusal:
    """Returns what the text of an upstream's error says about the request, a quota and a waiting time.

    The error's words about a quota or a waiting time are ignored if the request body contains the same words. The words
    about a quota are also ignored if a code or type of the error names another reason.
    """
    try:
        body = lenient.parse(text.encode())
    except (ValueError, RecursionError):
        body = _plain_text(text)
    error = _error_in(body)
    metadata = _object(error.get("metadata"))
    inner = _provider_error(metadata.get("raw"))
    codes = _codes_of(error) + _codes_of(inner)
    fields = {name: value for name, value in error.items() if not isinstance(value, (dict, list))}
    if message := _message_of(error):
        fields["message"] = message
    words = f"{message}\n{_message_of(inner)}"
    is_rate, is_other = (any(map(reason.fullmatch, codes)) for reason in (_RATE, _OTHER))
    return Refusal(
        fields,
        status=_status_of(error) or (429 if is_rate else None),
        is_malformed=_is_malformed(error, body),
        is_too_large=is_too_large(words),
        names_quota=any(map(_QUOTA.fullmatch, codes)),
        mentions_quota=not (is_rate or is_other)
        and (any(map(_MAYBE_QUOTA.fullmatch, codes)) or mentions_quota(words, request)),
        retry_after=named_wait((error, inner, metadata, _object(body)), words, request),
        headers={name.lower(): str(value) for name, value in _object(metadata.get("headers")).items()},
    )


def _plain_text(text: str) -> str | None:
    """Returns the text of an error that is not JSON, or None if the text is empty, HTML, XML or contains U+FFFD."""
    text = text.strip()
    return text if text and not text.startswith("<") and "\N{REPLACEMENT CHARACTER}" not in text else None


def _error_in(body: Any) -> dict[str, Any]:
    """Returns the fields that describe the error in a response body.

    Different upstreams put the error in different places in the response body.
    """
    # Google's endpoint wraps the error in a list.
    body = _first(body)
    if not isinstance(body, dict):
        return {"message": body} if isinstance(body, str) else {}
    if isinstance(base := body.get("base_resp"), dict) and (code := base.get("status_code")):
        # MiniMax reports errors beside an empty completion.
        kind = {"type": "rate_limit_exceeded"} if code in _MINIMAX_RATE_LIMITS else {}
        return {"code": code, "message": base.get("status_msg"), **kind}
    error = _first(body.get("error") or body.get("fault"))
    if not error and not _message_of(body) and isinstance(body.get("errors"), list):
        # Cloudflare reports a list of errors.
        error = _first(body["errors"])
    if not error or isinstance(error, bool):
        return body
    if isinstance(error, dict):
        inner = error.get("error")
        return inner if isinstance(inner, dict) and not _message_of(error) else error
    return _described(str(error), body)


def _described(error: str, body: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of an error whose field `error` is a text or number. A text may be a code beside a message."""
    codes = {name: body[name] for name in ("code", "type") if isinstance(body.get(name), (str, int))}
    message = _message_of(body)
    if message and re.fullmatch(r"[\w.-]+", error):
        return {"code": error, **codes, "message": message}
    return {**codes, "message": f"{error}: {message}" if message else error}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _provider_error(raw: Any) -> dict[str, Any]:
    """Returns the fields of the provider's error that OpenRouter puts into its own error, or an empty object."""
    if not isinstance(raw, str):
        return _error_in(raw)
    try:
        return _error_in(lenient.parse(raw.encode()))
    except (ValueError, RecursionError):
        return {"message": raw}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _codes_of(error: dict[str, Any]) -> list[str]:
    """Returns the texts among the codes, types and reasons of an error, and in Google's `ErrorInfo` objects."""
    values = [error.get(name) for name in ("code", "type", "status", "reason", "__type")]
    if isinstance(details := error.get("details"), list):
        values += [_object(detail).get("reason") for detail in details]
    return [value[:_MAX_CODE] for value in values if isinstance(value, str)]


def _message_of(error: dict[str, Any]) -> str:
    message = next((error[name] for name in _MESSAGES if error.get(name)), "")
    return lenient.well_formed(message if isinstance(message, str) else json.dumps(message))


def _status_of(error: dict[str, Any]) -> int | None:
    """Returns the HTTP error status in the error's field `code` or `status_code`, or None if neither contains one."""
    for code in (error.get("code"), error.get("status_code")):
        status = int(code[:4]) if isinstance(code, str) and code.isdecimal() else code
        if isinstance(status, int) and 400 <= status <= 599:
            return status
    return None


def _is_malformed(error: dict[str, Any], body: Any) -> bool:
    """Returns whether an upstream's error reports a request body that every upstream rejects.

    Every upstream rejects a body that is not JSON, and a body in which a field of `_REQUIRED` is missing or has a wrong
    type. If the response body has a list `detail` with entries, as in FastAPI's errors, every entry must report such a
    body. Otherwise, the codes and the parameter of the error must report such a body. If the error names no parameter,
    the first quoted name in the message counts as the parameter.
    """
    details = body.get("detail") if isinstance(body, dict) else None
    if isinstance(details, list) and details:
        faults = [(str(_object(detail).get("type")), _object(detail).get("loc")) for detail in details]
        return all(_blames([kind], location) for kind, location in faults)
    quoted = _QUOTED.search(_message_of(error))
    return _blames(_codes_of(error), error.get("param") or (quoted and quoted[1]))


def _blames(codes: list[str], place: Any) -> bool:
    """Returns whether the codes blame the JSON syntax, or blame a field of `_REQUIRED` whose path is `place`."""
    if any(map(_NOT_JSON.fullmatch, codes)):
        return True
    path = [name for name in re.findall(r"[A-Za-z_]+", str(place)) if name != "body"]
    return path in _REQUIRED and any(map(_FIELD_FAULT.fullmatch, codes))
