"""The choice of an answer, and the error if no target answered."""

from collections.abc import Callable
from typing import Any

import pytest
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.config import Price, Target
from rl_router_api.dialects.chat.write_error import error_object
from rl_router_api.errors import CallFailedError
from rl_router_api.routing.candidates import Callee
from rl_router_api.routing.choose import last_good, nobody_answered, refused_by_target, selected
from rl_router_api.routing.outcome import MadeCall
from rl_router_api.upstreams.upstream import upstream_of

MakeCall = Callable[..., MadeCall]


@pytest.fixture
def make_call() -> MakeCall:
    """Returns a function that makes the calls `call_1`, `call_2` and so on of one request."""
    ledger = Ledger("r")

    def make(name: str = "alpha", failure: CallFailedError | None = None) -> MadeCall:
        target = Target(name=name, base_url="http://a/v1")
        entry = ledger.open_target_call(name, target.tool_name, Price(), 1)
        return MadeCall(Callee(target, upstream_of(target)), entry, failure=failure)

    return make


def failure(kind: Any = "status", status: int | None = None, **fields: Any) -> CallFailedError:
    return CallFailedError(kind, f"`alpha` {status or kind}", status=status, **fields)


def test_the_last_good_call_is_the_latest_completed_one(make_call: MakeCall) -> None:
    calls = [make_call(), make_call("beta"), make_call("gamma", failure("timeout"))]
    assert last_good(calls) is calls[1]
    assert last_good([calls[2]]) is None
    assert last_good([]) is None


def test_a_selection_is_a_call_id_or_the_last_good_call_of_a_function_or_a_model(make_call: MakeCall) -> None:
    calls = [make_call(), make_call("gpt-5.1"), make_call(), make_call("alpha", failure("reset"))]
    assert selected("call_1", calls) is calls[0]
    assert selected(" call_2\n", calls) is calls[1]
    assert selected("call_alpha", calls) is calls[2]
    assert selected("alpha", calls) is calls[2]
    assert selected("gpt-5.1", calls) is calls[1]
    assert selected("call_gpt_5_1", calls) is calls[1]


@pytest.mark.parametrize("name", ["call_2", "beta", "call_beta", "call_9", "", "CALL_1", "gamma"])
def test_selecting_a_failed_or_unknown_call_selects_none(make_call: MakeCall, name: str) -> None:
    assert selected(name, [make_call(), make_call("beta", failure("timeout"))]) is None


@pytest.mark.parametrize(
    ("failures", "status", "code", "retry_after"),
    [
        ([], 503, "no_target", None),
        ([failure(status=429, retry_after=9.0), failure(status=429, retry_after=4.0)], 429, "rate_limit_exceeded", 4.0),
        ([failure(status=429)], 429, "rate_limit_exceeded", 1.0),
        ([failure("timeout"), failure("timeout")], 504, "upstream_timeout", None),
        ([failure("refused"), failure("refused")], 503, "upstream_error", None),
        ([failure("refused"), failure(status=503, retry_after=7.0)], 503, "upstream_error", 7.0),
        ([failure("refused"), failure(status=429, retry_after=3.0)], 503, "upstream_error", 3.0),
        ([failure("timeout"), failure("refused")], 502, "upstream_error", None),
        ([failure(status=500)], 502, "upstream_error", None),
        ([failure("broken", status=200)], 502, "upstream_error", None),
        ([failure("reset")], 502, "upstream_error", None),
        ([failure(status=401)], 502, "upstream_error", None),
        ([failure("unusable")], 502, "upstream_error", None),
        ([failure(status=429, is_quota=True), failure(status=402, is_quota=True)], 429, "insufficient_quota", None),
        ([failure(status=403, is_quota=True), failure(status=429)], 429, "rate_limit_exceeded", 1.0),
        ([failure("reset"), failure(status=400)], 400, None, None),
    ],
)
def test_if_every_candidate_fails_the_status_depends_on_the_failures(
    make_call: MakeCall, failures: list[CallFailedError], status: int, code: str | None, retry_after: float | None
) -> None:
    error = nobody_answered([make_call(failure=one) for one in failures])
    assert (error.status, error.code, error.retry_after) == (status, code, retry_after)


def test_every_failure_is_reported_once(make_call: MakeCall) -> None:
    error = nobody_answered([make_call(failure=failure("timeout")) for _ in range(3)])
    assert error.message.count("`alpha` timeout") == 1


def test_if_a_target_refused_the_request_the_first_refusal_is_returned(make_call: MakeCall) -> None:
    target_error = {
        "message": "max_tokens is too large",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "big",
    }
    failures = [failure("reset"), failure(status=422, error=target_error), failure(status=413), failure(status=500)]
    error = nobody_answered([make_call(failure=one) for one in failures])
    assert error.status == 422
    assert error_object(error) == target_error


@pytest.mark.parametrize("target_error", [{}, {"message": None}, {"message": "", "type": 7, "param": [], "code": 400}])
def test_an_invalid_error_of_a_target_becomes_one_in_openais_format(
    make_call: MakeCall, target_error: dict[str, Any]
) -> None:
    error = refused_by_target(make_call(failure=failure(status=400, error=target_error)))
    assert error_object(error) == {
        "message": "`alpha` 400.", "type": "invalid_request_error", "param": None, "code": None,
    }  # fmt: skip


def test_the_refusal_of_a_call_that_did_not_fail_is_a_value_error(make_call: MakeCall) -> None:
    with pytest.raises(ValueError, match="did not fail"):
        refused_by_target(make_call())
