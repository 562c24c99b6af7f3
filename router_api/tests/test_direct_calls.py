"""Calls of targets without a server: the answer, the cost, the money and the errors."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rl_router_api.accounting.spending import MaxCost
from rl_router_api.errors import ApiError, ConfigurationError, UnaffordableError
from rl_router_api.runtime.direct_calls import direct_calls, priced_configuration

from fakes.upstreams.answers import in_turn, text
from fakes.upstreams.bodies import usage
from fakes.upstreams.exchange import Answer
from fakes.upstreams.faults import error
from fakes.upstreams.server import Upstream


def configuration_file(folder: Path, url: str = "http://127.0.0.1:9/v1", **fields: Any) -> str:
    """Writes a configuration with the target `alpha`, and returns the path of the file."""
    target = {"name": "alpha", "base_url": url, "price": {"input": 1, "output": 10}, **fields}
    (folder / "router.yaml").write_text(json.dumps({"targets": [target]}))
    return str(folder / "router.yaml")


def body(model: str = "alpha", **fields: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}).encode()


async def answered(folder: Path, script: Answer, money: MaxCost, **fields: Any) -> Any:
    async with Upstream(script) as upstream:
        configuration = priced_configuration(configuration_file(folder, upstream.url), ())
        async with direct_calls(configuration) as calls:
            return await calls.answer(body(**{"max_tokens": 100, **fields}), money)


async def test_a_target_is_called_as_a_server_calls_it(tmp_path: Path) -> None:
    money = MaxCost(Decimal(1))
    script = in_turn_with_failure()
    answer = await answered(tmp_path, script, money)
    assert (answer.text, answer.is_cut, answer.output_tokens) == ("Four.", False, 50)
    assert answer.cost == Decimal("0.00051")
    assert money.left == Decimal("0.99949")


def in_turn_with_failure() -> Answer:
    """Returns a script that fails once and then answers."""
    return in_turn(error(503, "overloaded"), text("Four.", used=usage(10, 50)))


async def test_a_call_that_the_money_does_not_pay_for_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UnaffordableError, match="cost"):
        await answered(tmp_path, text(), MaxCost(Decimal("0.0001")))


async def test_the_worst_case_of_a_call_bounds_its_cost(tmp_path: Path) -> None:
    async with direct_calls(priced_configuration(configuration_file(tmp_path), ())) as calls:
        worst = calls.worst_cost(body(max_tokens=100))
        assert Decimal("0.001") < worst < Decimal("0.002")
        assert calls.worst_cost(body(max_tokens=100), more_bytes=1_000_000) == worst + 1
        assert 0 < calls.input_tokens(body()) < 100


async def test_an_unknown_target_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="`omega` does not exist"):
        await answered(tmp_path, text(), MaxCost(Decimal(1)), model="omega")


@pytest.mark.parametrize(
    ("fields", "names", "words"),
    [
        ({"price": None}, (), "the price of `alpha` is unknown, but a budget needs prices. Add the `price`"),
        ({"api_key_env": "NO_SUCH_KEY"}, (), "`alpha` has no API key: NO_SUCH_KEY is not set. Set the API key"),
        ({}, ("omega",), 'unknown target "omega": targets are alpha. Fix the name'),
    ],
)
def test_a_target_without_price_or_key_is_an_error(
    tmp_path: Path, fields: dict[str, Any], names: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"router\.yaml") as raised:
        priced_configuration(configuration_file(tmp_path, **fields), names)
    assert words in str(raised.value)


def test_a_configuration_without_targets_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "router.yaml").write_text("routing: {policy: fixed}")
    with pytest.raises(ConfigurationError, match="no target is configured"):
        priced_configuration(str(tmp_path / "router.yaml"), ())
