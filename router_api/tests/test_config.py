"""The configuration's schema: valid and invalid values, error messages and defaults."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rl_router_api.config import BY_ALIAS, Configuration, Routing, Target, check_names, tool_name

from fakes.testbed.json_values import json_values

MIB = 1024 * 1024
NAMES = st.from_regex(r"[a-z][A-Za-z0-9._:/@+-]{0,20}", fullmatch=True).filter(
    lambda name: not name.startswith("router")
)
DOLLARS = st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False, allow_infinity=False).map(str)
SECONDS = st.floats(min_value=0.001, max_value=86_400)
PRICES = st.fixed_dictionaries(
    {}, optional={"input": DOLLARS, "cached_input": st.none() | DOLLARS, "output": DOLLARS, "request": DOLLARS}
)
JSON = json_values()
TEXTS = st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=3)
TARGETS = st.fixed_dictionaries(
    {"base_url": st.sampled_from(["http://a/v1", "https://[::1]:8000/v1/", "https://user:pass@host/x"])},
    optional={
        "model": st.text(min_size=1, max_size=20),
        "price": st.none() | PRICES,
        "description": st.text(max_size=50),
        "capabilities": st.none() | st.lists(st.sampled_from(["tools", "vision", "n"]), unique=True),
        "context_length": st.none() | st.integers(1, 10**7),
        "timeout": SECONDS,
        "max_in_flight": st.none() | st.integers(1, 10**6),
        "params": st.fixed_dictionaries(
            {}, optional={"rename": TEXTS, "drop": st.lists(st.text(max_size=5), max_size=3),
                          "set": st.dictionaries(st.text(max_size=5), JSON, max_size=3)}
        ),
        "headers": st.dictionaries(st.from_regex(r"x-[a-z0-9-]{1,8}", fullmatch=True), st.just("a value"), max_size=3),
        "query": TEXTS,
        "api_key_env": st.just("A_KEY"),
    },
)  # fmt: skip
CONFIGURATIONS = st.fixed_dictionaries(
    {},
    optional={
        "targets": st.dictionaries(NAMES, TARGETS, min_size=1, max_size=4).map(
            lambda targets: [{"name": name, **fields} for name, fields in targets.items()]
        ),
        "router": st.fixed_dictionaries({}, optional={
            "protocol": st.sampled_from(["auto", "tools", "json_schema"]), "temperature": st.floats(0, 2),
            "timeout": SECONDS, "price": PRICES, "model": st.none() | st.text(min_size=1, max_size=9),
        }),
        "routing": st.fixed_dictionaries({}, optional={
            "max_cost": st.none() | DOLLARS, "deadline": SECONDS, "max_turns": st.integers(1, 32),
            "hedge_after": st.none() | SECONDS, "prefer": st.sampled_from(["cost", "balanced", "quality"]),
        }),
        "server": st.fixed_dictionaries({}, optional={"cors_origins": st.lists(st.text(max_size=9), max_size=3)}),
    },
)  # fmt: skip


def target(name: str = "alpha", **fields: Any) -> dict[str, Any]:
    return {"name": name, "base_url": "http://a/v1", **fields}


def refusal(values: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        Configuration.model_validate(values)
    error = raised.value.errors()[0]
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def test_an_empty_configuration_has_the_documented_defaults() -> None:
    configuration = Configuration()
    assert configuration.targets is None
    router = configuration.router
    assert (router.base_url, router.timeout) == ("http://127.0.0.1:8000/v1", 10)
    assert (router.protocol, router.tool_choice) == ("auto", None)
    routing = configuration.routing
    assert (routing.policy, routing.prefer, routing.review) == (None, "balanced", "buffered")
    assert (routing.max_turns, routing.max_calls, routing.deadline, routing.max_cost) == (3, 8, 600, None)
    server = configuration.server
    assert (server.host, server.port, server.ping_after) == ("127.0.0.1", 8800, 15)
    assert (server.max_body_bytes, server.max_pending_bytes, server.max_in_flight) == (32 * MIB, 256 * MIB, 1024)


def test_a_target_requires_only_a_name_and_a_base_url() -> None:
    read = Target.model_validate(target())
    assert (read.upstream_model, read.tool_name, read.timeout) == ("alpha", "call_alpha", 300)
    assert (read.price, read.capabilities, read.context_length, read.max_in_flight) == (None,) * 4
    assert Target.model_validate(target(model="a-1")).upstream_model == "a-1"


def test_prices_are_exact() -> None:
    price = Target.model_validate(target(price={"input": 0.1, "output": "0.000000000001"})).price
    assert price is not None
    assert (price.input, price.output) == (Decimal("0.1"), Decimal("0.000000000001"))
    assert price.cached_input is None


@pytest.mark.parametrize("zero", ["0e-50000000", "0e50000000", "0.00"])
def test_a_zero_with_an_extreme_exponent_is_zero(zero: str) -> None:
    values = {"routing": {"max_cost": zero}, "targets": [target(price={"input": zero})]}
    configuration = Configuration.model_validate(values)
    assert configuration.targets is not None
    price = configuration.targets[0].price
    assert price is not None
    assert (str(configuration.routing.max_cost), str(price.input)) == ("0", "0")


@pytest.mark.parametrize(
    ("values", "section", "suggestion"),
    [
        ({"targts": []}, "", "targets"),
        ({"routes": []}, "", "routing"),
        ({"routers": {}}, "", "router"),
        ({"routing": {"max_turn": 3}}, "routing", "max_turns"),
        ({"router": {"base-url": "x"}}, "router", "base_url"),
        ({"server": {"prot": 1}}, "server", "port"),
        ({"targets": [target(api_key="sk-secret")]}, "targets.0", "api_key_env"),
        ({"targets": [target(price={"inputs": 1})]}, "targets.0.price", "input"),
        ({"targets": [target(params={"renames": {}})]}, "targets.0.params", "rename"),
        ({"router": {"price": {"ouput": 1}}}, "router.price", "output"),
    ],
)
def test_an_error_about_an_unknown_key_suggests_the_nearest_key(values: Any, section: str, suggestion: str) -> None:
    message = refusal(values)
    assert message.startswith(f"{section}: ")
    assert f"did you mean `{suggestion}" in message
    assert "sk-secret" not in message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"router": {"max_cost": 1}}, "router: unknown key `max_cost`: did you mean `routing.max_cost`?"),
        ({"max_turns": 3}, "unknown key `max_turns`: did you mean `routing.max_turns`?"),
        ({"routing": {"timeout": 3}}, "did you mean `router.timeout` or `targets.timeout`?"),
        ({"targets": [target(deadline=3)]}, "targets.0: unknown key `deadline`: did you mean `routing.deadline`?"),
    ],
)
def test_an_error_about_a_key_in_the_wrong_section_names_its_section(values: Any, expected: str) -> None:
    assert expected in refusal(values)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"": "b"}, "'' is not a valid header name"),
        ({"X A": "b"}, "'X A' is not a valid header name"),
        ({"X-É": "b"}, "'X-É' is not a valid header name"),
        ({"X-A:": "b"}, "'X-A:' is not a valid header name"),
        ({"X-A\n": "b"}, "'X-A\\n' is not a valid header name"),
        ({"X-A": "b\r\nX-B: c"}, "the value of the header X-A contains a line break"),
        ({"X-A": "b\0"}, "the value of the header X-A contains a line break"),
        ({"Content-Length": "5"}, "the router API itself controls the header Content-Length"),
        ({"transfer-encoding": "chunked"}, "the router API itself controls the header transfer-encoding"),
        ({"Host": "b"}, "the router API itself controls the header Host"),
    ],
)
def test_a_header_that_no_request_can_have_is_an_error(headers: dict[str, str], words: str) -> None:
    message = refusal({"targets": [target(headers=headers)]})
    assert "targets.0.headers" in message
    assert words in message


def test_an_error_about_an_unknown_key_unlike_any_other_lists_all_keys() -> None:
    assert "known keys: server, router, routing, targets" in refusal({"zzz": 1})
    assert "unknown key `7`" in refusal({7: 1})


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"price": {"input": -1}}, "targets.0.price.input"),
        ({"price": {"request": "-0.1"}}, "targets.0.price.request"),
        ({"price": {"output": "NaN"}}, "targets.0.price.output"),
        ({"price": {"output": "Infinity"}}, "targets.0.price.output"),
        ({"price": {"output": "cheap"}}, "targets.0.price.output"),
        ({"price": {"output": "0.0000000000001"}}, "targets.0.price.output"),
        ({"name": ""}, "targets.0.name"),
        ({"name": "a b"}, "targets.0.name"),
        ({"name": "a\n"}, "targets.0.name"),
        ({"name": "x" * 129}, "targets.0.name"),
        ({"timeout": 0}, "targets.0.timeout"),
        ({"timeout": float("inf")}, "targets.0.timeout"),
        ({"capabilities": ["flight"]}, "targets.0.capabilities.0"),
        ({"context_length": 0}, "targets.0.context_length"),
        ({"api_key_env": "sk-secret"}, "targets.0.api_key_env"),
        ({"api_key_env": "A", "api_key_file": "b"}, "targets.0"),
    ],
)
def test_an_error_about_an_invalid_value_names_its_field(fields: dict[str, Any], path: str) -> None:
    assert refusal({"targets": [target(**fields)]}).startswith(f"{path}: ")


@pytest.mark.parametrize("url", [
    "", "a/v1", "ftp://a/v1", "http://", "http:///v1", "http://[::1", "http://a:b/v1", "http://a:99999/v1",
    "http://a:0/v1", "http://a/v1?key=1", "http://a/v1#x",
])  # fmt: skip
def test_an_invalid_base_url_is_refused(url: str) -> None:
    assert refusal({"targets": [target(base_url=url)]}).startswith("targets.0.base_url: ")


def test_a_trailing_slash_of_a_base_url_is_removed() -> None:
    assert Target.model_validate(target(base_url="http://a:8000/v1/")).base_url == "http://a:8000/v1"


def test_two_targets_with_the_same_name_are_refused() -> None:
    assert "two targets are called `alpha`" in refusal({"targets": [target(), target("beta"), target()]})


def test_two_targets_with_the_same_tool_name_are_refused() -> None:
    message = refusal({"targets": [target("gpt-5.1"), target("gpt-5-1")]})
    assert "`gpt-5.1` and `gpt-5-1` have the same tool name `call_gpt_5_1`" in message
    long = "x" * 80
    assert "have the same tool name" in refusal({"targets": [target(long + "a"), target(long + "b")]})


@pytest.mark.parametrize("name", ["router", "router-tool-rl", "router_mine", "routers"])
def test_target_names_that_begin_with_router_are_refused(name: str) -> None:
    assert f"`{name}`" in refusal({"targets": [target(name)]})


def test_the_fallback_order_may_only_name_targets() -> None:
    values = {"targets": [target(), target("beta")], "routing": {"fallback": ["beta", "alpha"]}}
    assert Configuration.model_validate(values).routing.fallback == ("beta", "alpha")
    message = refusal({**values, "routing": {"fallback": ["beta", "gamma"]}})
    assert "routing.fallback: unknown target `gamma`: targets are alpha, beta." in message


def test_an_alias_may_not_be_the_name_of_a_target() -> None:
    assert "routing.aliases: `alpha`" in refusal({"targets": [target()], "routing": {"aliases": ["alpha"]}})
    Configuration.model_validate({"targets": [target()], "routing": {"aliases": ["gpt-4o"]}})


def test_an_empty_list_of_targets_is_refused() -> None:
    assert refusal({"targets": []}).startswith("targets: ")


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("alpha", "call_alpha"),
        ("gpt-5.1/mini", "call_gpt_5_1_mini"),
        ("A_b", "call_A_b"),
        ("x" * 99, "call_" + "x" * 59),
    ],
)
def test_a_tool_name_is_call_with_the_name_in_letters_digits_and_underscores(name: str, tool: str) -> None:
    assert tool_name(name) == tool


def test_names_that_a_server_lists_are_checked_like_configured_names() -> None:
    listed = Target.model_validate(target("router-model"))
    with pytest.raises(ValueError, match="Choose another"):
        check_names((listed,), Routing())


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Configuration().router.model = "x"


@settings(max_examples=100, deadline=None)
@given(CONFIGURATIONS)
def test_every_valid_configuration_can_be_dumped_and_read_again(values: dict[str, Any]) -> None:
    try:
        read = Configuration.model_validate(values)
    except ValidationError as error:
        assert "have the same tool name" in str(error)
        return
    dumped = json.loads(json.dumps(read.model_dump(mode="json")))
    assert Configuration.model_validate(dumped) == read
    assert Configuration.model_validate_json(read.model_dump_json()) == read


@settings(max_examples=100, deadline=None)
@given(JSON | st.dictionaries(st.sampled_from(["router", "routing", "targets", "server"]), JSON))
def test_any_values_raise_only_validation_errors(values: Any) -> None:
    try:
        Configuration.model_validate(values)
    except ValidationError as error:
        assert error.errors()


def test_every_field_has_a_json_schema() -> None:
    schema = Configuration.model_json_schema()
    assert set(schema["properties"]) == {"router", "routing", "targets", "server"}
    assert schema["additionalProperties"] is False


def test_every_field_can_be_read_in_camel_case() -> None:
    spelled = {
        "routing": {"maxTurns": 2},
        "targets": [{"name": "a", "baseUrl": "http://a/v1", "price": {"cachedInput": "1"}}],
    }
    named = {
        "routing": {"max_turns": 2},
        "targets": [{"name": "a", "base_url": "http://a/v1", "price": {"cached_input": "1"}}],
    }
    assert Configuration.model_validate(spelled, **BY_ALIAS) == Configuration.model_validate(named)


def test_an_error_about_an_unknown_key_in_camel_case_suggests_the_nearest_alias() -> None:
    with pytest.raises(ValidationError, match="unknown key `max_turns`: did you mean `maxTurns`"):
        Configuration.model_validate({"routing": {"max_turns": 2}}, **BY_ALIAS)
