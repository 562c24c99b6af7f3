"""How requests are routed, as clients and upstreams see it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from rl_router_api.version import __version__

from fakes.testbed.configuration import PRICE, router_section, target
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import exact, metric, strategy, streamed_text
from fakes.testbed.router import Setup, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import by_request, in_turn, sensible_decision, text, whole
from fakes.upstreams.bodies import call, completion, decision, reply, select, usage
from fakes.upstreams.exchange import Body, Exchange
from fakes.upstreams.faults import error, hang, reset

TOOLS = [{"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}]
TOOL_CALL = {"id": "call_abc", "type": "function", "function": {"name": "clock", "arguments": "{}"}}


def metadata(body: Body) -> Body:
    return dict(body["router_metadata"])


def content(body: Body) -> str:
    return str(body["choices"][0]["message"]["content"])


def models_called(body: Body) -> list[str]:
    return [entry["model_id"] for entry in body["router_metadata"]["call_history"]]


# The tools protocol.


async def test_the_router_models_call_is_made_and_its_choice_is_returned(testbed: Testbed) -> None:
    setup = await testbed.start(in_turn(decision("call_beta"), select("call_1")), text("from alpha"), text("from beta"))
    body = await setup.answer()
    assert content(body) == "from beta"
    assert strategy(body) == ("select_response", "beta")
    assert metadata(body)["turns_used"] == 2
    assert not setup.alpha.requests


async def test_several_calls_of_one_turn_are_made_and_one_is_chosen(testbed: Testbed) -> None:
    both = decision("call_alpha", "call_beta")
    setup = await testbed.start(in_turn(both, select("call_2")), text("from alpha"), text("from beta"))
    body = await setup.answer()
    assert content(body) == "from beta"
    assert models_called(body) == ["alpha", "beta"]
    assert [entry["selected"] for entry in metadata(body)["call_history"]] == [False, True]
    assert [entry["response"] for entry in metadata(body)["call_history"]] == ["from alpha", "from beta"]


@pytest.mark.parametrize("name", ["call_1", "call_alpha", "alpha"])
async def test_an_answer_is_selected_by_call_id_function_or_model(testbed: Testbed, name: str) -> None:
    both = decision("call_alpha", "call_beta")
    setup = await testbed.start(in_turn(both, select(name)), text("from alpha"), text("from beta"))
    body = await setup.answer()
    assert content(body) == "from alpha"
    assert strategy(body) == ("select_response", "alpha")


async def test_a_models_name_selects_its_last_good_call(testbed: Testbed) -> None:
    alpha = in_turn(completion("first"), completion("second"))
    setup = await testbed.start(in_turn(decision("call_alpha"), decision("call_alpha"), select("alpha")), alpha, None)
    assert content(await setup.answer()) == "second"


async def test_the_router_model_is_offered_the_targets_and_after_an_answer_the_choice(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("the answer"), None)
    await setup.answer()
    first, second = setup.model.requests
    assert first.offered == ["call_alpha", "call_beta"]
    assert second.offered == ["call_alpha", "call_beta", "select_response"]
    results = [json.loads(each["content"]) for each in second.body["messages"] if each["role"] == "tool"]
    assert results == [{"call_id": "call_1", "answer": "the answer"}]


async def test_in_the_last_turn_the_router_model_can_only_choose(testbed: Testbed) -> None:
    setup = await testbed.start(
        in_turn(decision("call_alpha"), decision("call_beta"), select("alpha")), text("a"), text("b")
    )
    assert strategy(await setup.answer()) == ("select_response", "alpha")
    assert setup.model.requests[-1].offered == ["select_response"]


async def test_after_the_last_turn_without_a_choice_the_last_answer_is_returned(testbed: Testbed) -> None:
    setup = await testbed.start(in_turn(decision("call_alpha")), text("from alpha"), None)
    body = await setup.answer()
    assert strategy(body) == ("max_turns_reached", "alpha")
    assert metadata(body)["turns_used"] == 3


async def test_with_one_turn_the_first_call_is_committed(testbed: Testbed) -> None:
    setup = await testbed.start(decision_always("call_beta"), None, text("b"), routing={"max_turns": 1})
    body = await setup.answer()
    assert strategy(body) == ("committed", "beta")
    assert len(setup.model.requests) == 1


def decision_always(*names: str) -> Any:
    return whole(decision(*names))


@pytest.mark.parametrize(
    "second", [error(500, "broken"), whole(reply("I do not know.")), whole(select("call_9")), hang]
)
async def test_if_the_router_model_fails_after_a_completed_answer_no_target_is_called_again(
    testbed: Testbed, second: Any
) -> None:
    setup = await testbed.start(in_turn(decision("call_alpha"), second), text("completed"), None)
    body = await setup.answer()
    assert (content(body), *strategy(body)) == ("completed", "last_response", "alpha")
    assert len(setup.alpha.requests + setup.beta.requests) == 1


async def test_a_text_of_the_router_model_is_the_answer_if_direct_answers_are_enabled(testbed: Testbed) -> None:
    setup = await testbed.start(whole(reply("<think>easy</think>Hello!")), None, None)
    body = await setup.answer()
    assert content(body) == "Hello!"
    assert strategy(body) == ("direct_response", "the-router")
    assert body["usage"] == usage(100, 20)
    assert body["model"] == "router-tool-rl"
    assert metadata(body)["total_cost"] == metadata(body)["router_cost"] == Decimal("0.000007")
    assert setup.model.bodies[0]["tool_choice"] == "auto"
    assert not setup.alpha.requests + setup.beta.requests
    assert "easy" not in json.dumps(body, default=str)


@pytest.mark.parametrize("stream", [False, True])
async def test_any_name_of_the_router_model_is_safe_in_a_header(testbed: Testbed, stream: bool) -> None:
    name = "mod\u00e8le\r\nx-injected: 1"
    setup = await testbed.start(whole(reply("Hello!")), None, None, router={"model": name})
    response = await setup.send(stream=stream)
    assert response.status_code == 200
    assert response.headers["x-router-model"] == "mod?le??x-injected: 1"
    assert "x-injected" not in response.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"routing": {"direct_answers": False}},
        {"router": {"protocol": "auto"}},
    ],
)
async def test_otherwise_a_text_is_unreadable_and_is_repaired_once(testbed: Testbed, changes: Body) -> None:
    setup = await testbed.start(in_turn(reply("Hello!")), None, text("from beta"), **changes)
    body = await setup.answer()
    assert strategy(body)[0] == "fallback"
    assert len(setup.model.requests) == 2
    assert setup.model.bodies[0]["tool_choice"] == "required"


@pytest.mark.parametrize("fields", [{"tools": TOOLS}, {"response_format": {"type": "json_object"}}, {"stop": ["i"]}])
async def test_a_request_that_needs_more_than_text_is_never_answered_directly(testbed: Testbed, fields: Body) -> None:
    setup = await testbed.start(in_turn(reply("Hello!")), None, None)
    assert strategy(await setup.answer(**fields))[0] == "fallback"


async def test_a_repair_does_not_count_as_a_turn(testbed: Testbed) -> None:
    unreadable = decision(call("call_nobody"))
    setup = await testbed.start(in_turn(unreadable, decision("call_beta"), select("beta")), None, text("b"))
    body = await setup.answer()
    assert strategy(body) == ("select_response", "beta")
    assert metadata(body)["turns_used"] == 2
    assert len(metadata(body)["router_calls"]) == 3


async def test_a_request_is_repaired_only_once(testbed: Testbed) -> None:
    unreadable = decision(call("call_nobody"))
    setup = await testbed.start(in_turn(unreadable, decision("call_beta"), unreadable), None, text("b"))
    assert strategy(await setup.answer()) == ("last_response", "beta")
    assert len(setup.model.requests) == 3


@pytest.mark.parametrize(
    "written",
    [
        '<tool_call>\n{"name": "call_beta", "arguments": {}}\n</tool_call>',
        '{"name": "call_beta", "arguments": {}}',
        '```json\n{"name": "call_beta", "arguments": {}}\n```',
        '<think>alpha? no.</think><tool_call>{"name": "call_beta", "arguments": {}}</tool_call>',
    ],
)
async def test_calls_written_as_text_are_read(testbed: Testbed, written: str) -> None:
    setup = await testbed.start(in_turn(reply(written), select("beta")), None, text("b"))
    assert strategy(await setup.answer()) == ("select_response", "beta")


# Protocols and policies.


def uses_schema(request: Exchange) -> bool:
    return "response_format" in request.body


async def test_the_json_schema_protocol_decides_by_constrained_decoding(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("a"), None, router={"protocol": "json_schema"})
    assert strategy(await setup.answer()) == ("select_response", "alpha")
    assert all(map(uses_schema, setup.model.requests))
    assert not any("tools" in body for body in setup.model.bodies)


async def test_the_auto_protocol_repairs_with_the_schema(testbed: Testbed) -> None:
    router = by_request(lambda request: sensible_decision(request) if uses_schema(request) else reply("Hm."))
    setup = await testbed.start(router, text("a"), None, router={"protocol": "auto"}, routing={"max_turns": 1})
    assert strategy(await setup.answer()) == ("committed", "alpha")
    assert [uses_schema(request) for request in setup.model.requests] == [False, True]


async def test_the_auto_protocol_starts_with_the_schema_after_five_of_ten_requests_needed_it(testbed: Testbed) -> None:
    router = by_request(lambda request: sensible_decision(request) if uses_schema(request) else reply("Hm."))
    setup = await testbed.start(router, text("a"), None, router={"protocol": "auto"}, routing={"max_turns": 1})
    for _ in range(5):
        await setup.answer()
    assert [uses_schema(request) for request in setup.model.requests] == [False, True] * 5
    await setup.answer()
    assert [uses_schema(request) for request in setup.model.requests[10:]] == [True]


async def test_the_auto_protocol_counts_requests_not_turns(testbed: Testbed) -> None:
    kinds: list[str] = []

    def router(request: Exchange) -> Body:
        first = "select_response" not in request.offered
        return reply("Hm.") if "tools" in request.body and first and kinds[-1] == "hard" else sensible_decision(request)

    setup = await testbed.start(by_request(router), text("a"), None, router={"protocol": "auto"})
    for kind in ("easy", "hard") * 5:
        kinds.append(kind)
        await setup.answer()
    before = len(setup.model.requests)
    kinds.append("easy")
    await setup.answer()
    assert uses_schema(setup.model.requests[before])


async def test_the_auto_protocol_keeps_tools_if_fewer_requests_needed_the_schema(testbed: Testbed) -> None:
    kinds: list[str] = []
    router = by_request(lambda r: reply("Hm.") if "tools" in r.body and kinds[-1] == "hard" else sensible_decision(r))
    setup = await testbed.start(router, text("a"), None, router={"protocol": "auto"}, routing={"max_turns": 1})
    for kind in ("hard", "easy", "easy") * 4:
        kinds.append(kind)
        await setup.answer()
    assert not uses_schema(setup.model.requests[-1])


async def test_the_fixed_policy_uses_the_first_target_of_the_fallback_order(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, text("b"), routing={"policy": "fixed", "fallback": ["beta", "alpha"]})
    body = await setup.answer()
    assert (content(body), *strategy(body)) == ("b", "committed", "beta")
    assert not setup.model.requests
    assert metadata(body)["router_cost"] == 0


async def test_a_request_may_choose_its_policy(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None, routing={"fallback": ["beta"]})
    assert strategy(await setup.answer(router={"policy": "fixed"})) == ("committed", "beta")


async def test_a_targets_name_pins_the_request_to_it(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, text("b"))
    body = await setup.answer(model="beta")
    assert (content(body), *strategy(body)) == ("b", "pinned", "beta")
    assert body["model"] == "beta"
    assert not setup.model.requests


async def test_with_a_single_candidate_the_router_model_is_not_called(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("a"))
    assert strategy(await setup.answer()) == ("pinned", "alpha")
    assert not setup.model.requests


@pytest.mark.parametrize("prefer", [("cost", "alpha"), ("balanced", "beta"), ("quality", "gamma")])
async def test_without_a_decision_the_fallback_order_follows_the_preference(
    testbed: Testbed, prefer: tuple[str, str]
) -> None:
    price = {"input": "0.1", "output": "1"}
    prices = {"alpha": {"price": price}, "beta": {"price": {"input": 1, "output": 2}}, "gamma": {}}
    setup = await testbed.start(error(500, "down"), None, None, None, changes=prices)
    assert strategy(await setup.answer(router={"prefer": prefer[0]})) == ("fallback", prefer[1])


async def test_the_router_model_receives_the_preference(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    await setup.answer(router={"prefer": "cost"})
    await setup.answer(router={"prefer": "quality"})
    first, second = (setup.model.bodies[position]["messages"][0]["content"] for position in (0, 2))
    assert first != second


# Tool loops.


def tool_loop(tool_call_id: str) -> Body:
    tool_call = {**TOOL_CALL, "id": tool_call_id}
    turns = [{"role": "assistant", "content": None, "tool_calls": [tool_call]},
             {"role": "tool", "tool_call_id": tool_call_id, "content": "noon"}]  # fmt: skip
    return {"messages": [*QUESTION, *turns], "tools": TOOLS}


def calls_a_tool() -> Body:
    return completion(None, message={"tool_calls": [TOOL_CALL]})


async def test_a_tool_loop_stays_with_the_target_that_called_the_tool(testbed: Testbed) -> None:
    beta = in_turn(calls_a_tool(), completion("noon"))
    setup = await testbed.start(in_turn(decision("call_beta"), select("beta")), None, beta)
    call_id = (await setup.answer(tools=TOOLS))["choices"][0]["message"]["tool_calls"][0]["id"]
    assert call_id.startswith("call_abc_rr")
    assert len(call_id) == len("call_abc_rr") + 6
    decisions = len(setup.model.requests)

    body = await setup.answer(**tool_loop(call_id))
    assert strategy(body) == ("pinned", "beta")
    assert len(setup.model.requests) == decisions
    assert [message.get("tool_call_id") for message in setup.beta.bodies[1]["messages"]] == [None, None, "call_abc"]
    assert setup.beta.bodies[1]["messages"][1]["tool_calls"] == [TOOL_CALL]


async def test_a_tool_loop_stays_with_its_target_on_another_replica(testbed: Testbed) -> None:
    model, alpha, beta = await testbed.upstream(), await testbed.upstream(), await testbed.upstream()
    targets = [target("alpha", alpha.url), target("beta", beta.url)]
    sections = {"router": router_section(model.url), "targets": targets}
    model.answer, beta.answer = in_turn(decision("call_beta"), select("beta")), whole(calls_a_tool())
    async with testbed.running_router(**sections) as first:
        call_id = (await first.answer(tools=TOOLS))["choices"][0]["message"]["tool_calls"][0]["id"]
    async with testbed.running_router(**{**sections, "targets": targets[::-1]}) as second:
        assert strategy(await second.answer(**tool_loop(call_id))) == ("pinned", "beta")


async def test_if_the_target_of_a_tool_loop_fails_the_request_is_routed(testbed: Testbed) -> None:
    beta = in_turn(calls_a_tool(), error(500, "down"))
    setup = await testbed.start(in_turn(decision("call_beta"), select("beta"), decision("call_alpha"), select("alpha")),
                              text("a"), beta)  # fmt: skip
    call_id = (await setup.answer(tools=TOOLS))["choices"][0]["message"]["tool_calls"][0]["id"]
    assert strategy(await setup.answer(**tool_loop(call_id))) == ("select_response", "alpha")


@pytest.mark.parametrize("tool_call_id", ["call_abc_rr123456", "call_abc", "call_abc_rrzzzzzz"])
async def test_a_tool_loop_without_a_known_affinity_is_routed(testbed: Testbed, tool_call_id: str) -> None:
    setup = await testbed.start(None, None, None)
    assert strategy(await setup.answer(**tool_loop(tool_call_id)))[0] == "select_response"


# What the router model may change.

ADVICE = "Answer in one word."


def advised(**arguments: Any) -> Any:
    return in_turn(decision(call("call_alpha", **arguments)), select("alpha"))


async def test_advice_is_appended_to_the_newest_user_message(testbed: Testbed) -> None:
    setup = await testbed.start(advised(optimized_system_prompt=ADVICE), None, None)
    system = {"role": "system", "content": "Be kind."}
    body = await setup.answer(messages=[system, *QUESTION])
    first, user = setup.alpha.bodies[0]["messages"]
    assert first == system
    assert user["content"].startswith(QUESTION[0]["content"])
    assert user["content"].endswith(ADVICE)
    entry = metadata(body)["call_history"][0]
    assert entry["arguments"] == {"optimized_system_prompt": ADVICE}
    assert entry["added_params"] == ["optimized_system_prompt"]


async def test_advice_is_cut_to_two_thousand_characters(testbed: Testbed) -> None:
    setup = await testbed.start(advised(optimized_system_prompt="é" * 5_000), None, None)
    await setup.answer()
    assert setup.alpha.bodies[0]["messages"][0]["content"].count("é") == 2_000


async def test_advice_can_be_disabled(testbed: Testbed) -> None:
    setup = await testbed.start(advised(optimized_system_prompt=ADVICE), None, None, routing={"system_prompts": False})
    await setup.answer()
    assert "optimized_system_prompt" not in json.dumps(setup.model.bodies[0]["tools"])
    assert setup.alpha.bodies[0]["messages"] == QUESTION


@pytest.mark.parametrize(("sent", "expected"), [({}, 0.2), ({"temperature": 1.5}, 1.5), ({"temperature": 0}, 0)])
async def test_the_router_models_temperature_is_used_only_if_the_client_sent_none(
    testbed: Testbed, sent: Body, expected: float
) -> None:
    setup = await testbed.start(advised(temperature=0.2), None, None)
    await setup.answer(**sent)
    assert setup.alpha.bodies[0]["temperature"] == expected


async def test_params_of_a_target_rename_drop_and_set_fields(testbed: Testbed) -> None:
    params = {"rename": {"max_tokens": "max_completion_tokens"}, "drop": ["temperature"], "set": {"store": False}}
    setup = await testbed.start(None, None, changes={"alpha": {"params": params, "model": "their-name"}})
    body = await setup.answer(max_tokens=100, temperature=0.5)
    sent = setup.alpha.bodies[0]
    assert sent == {"model": "their-name", "messages": QUESTION, "max_completion_tokens": 100, "store": False}
    assert metadata(body)["call_history"][0]["dropped_params"] == ["temperature"]


async def test_traceparent_is_the_only_header_of_a_client_that_reaches_an_upstream(testbed: Testbed) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    private = {"X-Private": "1", "Cookie": "a=b", "Accept-Encoding": "gzip"}
    headers = {"Authorization": "Bearer clients-key", "traceparent": trace, **private}
    own = {"headers": {"X-Team": "seven"}, "query": {"api-version": "2"}}
    setup = await testbed.start(None, None, None, changes={"alpha": own})
    await setup.client.post("/v1/chat/completions", headers=headers, json={"model": "router", "messages": QUESTION})
    (sent,) = setup.alpha.requests
    assert sent.headers["traceparent"] == trace
    assert sent.headers["x-team"] == "seven"
    assert sent.path == "/v1/chat/completions?api-version=2"
    assert sent.headers["accept-encoding"] == "identity"
    assert (sent.headers["accept"], sent.headers["user-agent"]) == (
        "application/json, text/event-stream", f"rl-router/{__version__}",
    )  # fmt: skip
    ours = {"host", "content-type", "content-length", "accept", "accept-encoding", "user-agent"}
    allowed = ours | {"traceparent", "x-team"}
    assert set(sent.headers) <= allowed
    assert set(setup.model.requests[0].headers) <= allowed - {"x-team"}


@pytest.mark.parametrize("traceparent", ["nonsense", "00-" + "a" * 60_000, "caf\u00e9"])
async def test_an_invalid_traceparent_reaches_no_upstream(testbed: Testbed, traceparent: str) -> None:
    setup = await testbed.start(None, None, None)
    body = {"model": "router", "messages": QUESTION}
    headers = {"traceparent": traceparent.encode("latin-1")}
    assert (await setup.client.post("/v1/chat/completions", headers=headers, json=body)).status_code == 200
    assert "traceparent" not in setup.alpha.requests[0].headers


async def test_a_targets_key_is_sent_only_to_it(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAS_KEY", "sk-alphas-secret")
    setup = await testbed.start(None, None, None, changes={"alpha": {"api_key_env": "ALPHAS_KEY"}})
    response = await setup.send()
    await setup.answer(model="beta")
    assert setup.alpha.requests[0].headers["authorization"] == "Bearer sk-alphas-secret"
    assert "authorization" not in setup.beta.requests[0].headers
    assert "authorization" not in setup.model.requests[0].headers
    for path in ("/", "/health", "/debug/tools", "/metrics"):
        assert "sk-alphas-secret" not in (await setup.client.get(path)).text
    assert "sk-alphas-secret" not in response.text + json.dumps(setup.router.log, default=str)


# Needs.

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
NEEDS: dict[str, Body] = {
    "tools": {"tools": TOOLS},
    "vision": {"messages": [{"role": "user", "content": [IMAGE]}]},
    "audio": {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}]},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
    "n": {"n": 2},
    "logprobs": {"logprobs": True},
}


@pytest.mark.parametrize("need", NEEDS)
async def test_a_request_that_no_target_supports_is_a_400_that_names_the_need(testbed: Testbed, need: str) -> None:
    others = [name for name in NEEDS if name != need]
    setup = await testbed.start(
        None, None, None, changes={name: {"capabilities": others} for name in ("alpha", "beta")}
    )
    response = await setup.send(**NEEDS[need])
    assert response.status_code == 400
    assert need in response.json()["error"]["message"]
    assert not setup.model.requests


@pytest.mark.parametrize("need", NEEDS)
async def test_a_target_that_does_not_support_the_need_is_no_candidate(testbed: Testbed, need: str) -> None:
    others = [name for name in NEEDS if name != need]
    setup = await testbed.start(None, None, None, changes={"alpha": {"capabilities": others}})
    assert strategy(await setup.answer(**NEEDS[need])) == ("pinned", "beta")


async def test_a_request_too_long_for_every_target_is_a_400(testbed: Testbed) -> None:
    short = {"context_length": 100}
    setup = await testbed.start(None, None, None, changes={"alpha": short, "beta": short})
    response = await setup.send(messages=[{"role": "user", "content": "word " * 1000}])
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


# Names.


@pytest.mark.parametrize("model", ["router-tool-rl", "router", "gpt-4o"])
async def test_requests_for_the_routers_names_and_aliases_are_routed(testbed: Testbed, model: str) -> None:
    setup = await testbed.start(None, None, None, routing={"aliases": ["gpt-4o"]})
    body = await setup.answer(model=model)
    assert strategy(body)[0] == "select_response"
    assert body["model"] == model


async def test_an_unknown_model_is_openais_404(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    response = await setup.send(model="gpt-9")
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "invalid_request_error")


# A request's own limits.


@pytest.mark.parametrize(
    ("router", "param"),
    [
        ({"modles": ["alpha"]}, "router.modles"),
        ({"models": ["nobody"]}, "router.models"),
        ({"models": []}, "router.models"),
        ({"policy": "nobody"}, "router.policy"),
        ({"max_turns": 0}, "router.max_turns"),
        ({"max_cost": -1}, "router.max_cost"),
        ({"deadline_ms": 0}, "router.deadline_ms"),
        ({"review": "perhaps"}, "router.review"),
        ({"prefer": "luck"}, "router.prefer"),
        ("fast", "router"),
    ],
)
async def test_an_invalid_limit_is_a_400_that_names_the_field(testbed: Testbed, router: Any, param: str) -> None:
    setup = await testbed.start(None, None, None)
    response = await setup.send(router=router)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert param in response.json()["error"]["message"]


async def test_the_router_object_is_not_sent_to_targets(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    await setup.answer(router={"prefer": "cost"})
    assert "router" not in setup.alpha.bodies[0]


async def test_only_allowed_targets_are_candidates(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None, None)
    await setup.answer(router={"models": ["beta", "gamma"]})
    assert setup.model.requests[0].offered == ["call_beta", "call_gamma"]
    assert strategy(await setup.answer(router={"models": ["gamma"]})) == ("pinned", "gamma")


async def test_a_call_for_a_target_that_the_request_may_not_use_is_not_made(testbed: Testbed) -> None:
    setup = await testbed.start(in_turn(decision("call_alpha")), None, None, None)
    body = await setup.answer(router={"models": ["beta", "gamma"]})
    assert strategy(body)[0] == "fallback"
    assert not setup.alpha.requests


async def test_a_pinned_target_that_the_request_does_not_allow_is_a_400(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    response = await setup.send(model="alpha", router={"models": ["beta"]})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "router.models"


@pytest.mark.parametrize(("server", "requested", "turns"), [(3, 2, 2), (2, 9, 2)])
async def test_the_stricter_limit_on_turns_holds(testbed: Testbed, server: int, requested: int, turns: int) -> None:
    setup = await testbed.start(in_turn(decision("call_alpha")), None, None, routing={"max_turns": server})
    body = await setup.answer(router={"max_turns": requested})
    assert metadata(body)["turns_used"] == turns


async def test_max_cost_sets_the_output_limit_that_it_can_pay(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    await setup.answer(router={"max_cost": 0.01})
    limit = setup.alpha.bodies[0]["max_tokens"]
    assert 256 <= limit < 1000
    assert limit * Decimal(PRICE["output"]) / 1_000_000 <= Decimal("0.01")


async def test_max_cost_calls_a_target_whose_own_output_limit_is_low(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, changes={"alpha": {"max_output": 100}})
    await setup.answer(router={"max_cost": 1})
    assert setup.alpha.bodies[0]["max_tokens"] == 100


@pytest.mark.parametrize("limit", [0, -1])
async def test_an_output_limit_below_one_token_is_passed_on_but_replaced_with_max_cost(
    testbed: Testbed, limit: int
) -> None:
    setup = await testbed.start(None, None)
    await setup.answer(max_tokens=limit)
    await setup.answer(max_tokens=limit, router={"max_cost": 0.01})
    free, limited = setup.alpha.bodies
    assert free["max_tokens"] == limit
    assert 256 <= limited["max_tokens"] < 1000


async def test_max_cost_counts_every_choice(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    await setup.answer(router={"max_cost": 0.01}, n=3)
    assert setup.alpha.bodies[0]["max_tokens"] * 3 * Decimal(PRICE["output"]) / 1_000_000 <= Decimal("0.01")


VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/two-hours.mp4"}}


@pytest.mark.parametrize("fields", [{"router": {"max_cost": 0.001}},
                                    {"router": {"max_cost": 0.001}, "max_tokens": 200},
                                    {"router": {"max_cost": 100}, "messages": [{"role": "user", "content": [VIDEO]}]},
                                    {"router": {"max_cost": 0}}])  # fmt: skip
async def test_a_request_that_max_cost_cannot_pay_is_refused_without_retry(testbed: Testbed, fields: Body) -> None:
    setup = await testbed.start(None, None, None)
    response = await setup.send(**fields)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "max_cost_too_low"
    assert response.headers["x-should-retry"] == "false"
    assert not setup.alpha.requests + setup.beta.requests


async def test_an_output_limit_that_max_cost_cannot_pay_is_lowered_in_every_field(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    await setup.answer(router={"max_cost": 0.01}, max_tokens=2000, max_completion_tokens=3000, n_predict=4000)
    body = setup.alpha.bodies[0]
    assert 256 <= body["max_tokens"] < 1000
    assert body["max_tokens"] == body["max_completion_tokens"] == body["n_predict"]


@pytest.mark.parametrize("stream", [False, True])
async def test_with_max_cost_fields_that_may_cost_money_are_dropped_and_reported(
    testbed: Testbed, stream: bool
) -> None:
    setup = await testbed.start(None, None)
    fields = {"best_of": 20, "service_tier": "priority", "web_search_options": {}, "top_k": 5, "stream": stream}
    response = await setup.send(router={"max_cost": 0.01}, **fields)
    assert response.status_code == 200
    body = setup.alpha.bodies[0]
    assert not {"best_of", "service_tier", "web_search_options"} & set(body)
    assert body["top_k"] == 5
    (entry,) = setup.router.ledgers[0]["call_history"]
    assert entry["dropped_params"] == ["best_of", "service_tier", "web_search_options"]
    await setup.send(**fields)
    assert setup.alpha.bodies[1]["best_of"] == 20


async def test_a_reported_usage_above_the_worst_case_is_charged_in_full_and_marked(testbed: Testbed) -> None:
    expensive = {"prompt_tokens": 10, "completion_tokens": 100_000, "total_tokens": 100_010}
    setup = await testbed.start(None, text("a", used=expensive))
    (entry,) = metadata(await setup.answer(router={"max_cost": 0.01}))["call_history"]
    assert (entry["cost"], entry["suspect"]) == (Decimal("1.0000125"), True)
    (entry,) = metadata(await setup.answer())["call_history"]
    assert "suspect" not in entry


async def test_the_servers_max_cost_holds_if_the_requests_is_higher(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, routing={"max_cost": "0.001"})
    assert (await setup.send(router={"max_cost": 5})).json()["error"]["code"] == "max_cost_too_low"


async def test_with_max_cost_a_target_without_a_price_is_no_candidate(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None, changes={"alpha": {"price": None}})
    assert strategy(await setup.answer(router={"max_cost": 1})) == ("pinned", "beta")


async def test_a_target_without_a_price_costs_nothing_and_is_marked(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, changes={"alpha": {"price": None}})
    (entry,) = metadata(await setup.answer())["call_history"]
    assert (entry["cost"], entry["unpriced"]) == (0, True)


async def test_of_calls_that_together_exceed_max_cost_only_some_are_made(testbed: Testbed) -> None:
    both = decision("call_alpha", "call_beta")
    setup = await testbed.start(in_turn(both, select("call_1")), None, None)
    body = await setup.answer(router={"max_cost": 0.003}, max_tokens=200)
    assert models_called(body) == ["alpha"]


async def test_each_call_of_a_turn_has_an_equal_share_of_max_cost(testbed: Testbed) -> None:
    both = decision("call_alpha", "call_beta")
    setup = await testbed.start(in_turn(both, select("call_1")), None, None)
    max_cost = Decimal("0.0062")
    body = await setup.answer(router={"max_cost": float(max_cost)})
    assert models_called(body) == ["alpha", "beta"]
    limits = [target.bodies[0]["max_tokens"] for target in (setup.alpha, setup.beta)]
    assert min(limits) >= 256
    assert sum(limits) * Decimal(PRICE["output"]) / 1_000_000 <= max_cost


async def test_the_cost_of_advice_counts_for_max_cost(testbed: Testbed) -> None:
    advised = decision(call("call_alpha", optimized_system_prompt="\u00e4" * 2_000))
    expensive = {"price": {"input": "100", "output": "10"}}
    setup = await testbed.start(in_turn(advised, select("call_1")), None, None, changes={"alpha": expensive})
    max_cost = Decimal("0.5")
    await setup.answer(router={"max_cost": float(max_cost)})
    (sent,) = setup.alpha.requests
    system_prompt = sent.body["messages"][0]["content"]
    assert system_prompt.endswith("\u00e4" * 2_000)
    input_tokens = len(system_prompt.encode())
    assert (input_tokens * 100 + sent.body["max_tokens"] * 10) / Decimal(1_000_000) <= max_cost


async def test_advice_that_max_cost_cannot_pay_is_not_sent(testbed: Testbed) -> None:
    advised = decision(call("call_alpha", optimized_system_prompt="a" * 2_000))
    expensive = {"price": {"input": "100", "output": "10"}}
    setup = await testbed.start(in_turn(advised), None, None, changes={"alpha": expensive})
    body = await setup.answer(router={"max_cost": 0.05})
    assert metadata(body)["total_cost"] < Decimal("0.05")
    assert not any("Advice" in request.raw.decode() for request in setup.alpha.requests)


async def test_at_the_deadline_a_request_without_an_answer_is_a_504(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, None, changes={"alpha": {"timeout": 30}})
    response = await setup.send(router={"deadline_ms": 150})
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"
    assert response.headers["x-should-retry"] == "false"
    (entry,) = exact(response.content)["router_metadata"]["call_history"]
    assert (entry["status"], entry["estimated"]) == ("cancelled", True)
    await until(lambda: setup.alpha.requests[0].dropped, "the end of the call at its target")


async def test_the_servers_deadline_holds_if_the_requests_is_later(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, routing={"deadline": 0.15}, changes={"alpha": {"timeout": 30}})
    assert (await setup.send(router={"deadline_ms": 60_000})).status_code == 504


@pytest.mark.parametrize("stream", [False, True])
async def test_at_the_deadline_a_completed_answer_is_returned(testbed: Testbed, stream: bool) -> None:
    large = "word " * 2_400_000
    both = decision("call_alpha", "call_beta")
    setup = await testbed.start(in_turn(both), text(large), hang, changes={"beta": {"timeout": 30}})
    fields = {"router": {"deadline_ms": 2000}}
    if stream:
        received = await setup.stream(**fields)
        *_, last, done = received
        assert done == "[DONE]"
        assert streamed_text(received) == large
    else:
        last = await setup.answer(**fields)
        assert content(last) == large
    assert strategy(last) == ("timeout", "alpha")
    assert [entry["status"] for entry in metadata(last)["call_history"]] == ["ok", "cancelled"]


async def test_max_calls_limits_the_calls_of_a_request(testbed: Testbed) -> None:
    many = decision(*["call_alpha"] * 10)
    setup = await testbed.start(in_turn(many, select("call_1")), None, None, routing={"max_calls": 4})
    body = await setup.answer()
    assert len(setup.alpha.requests) == len(metadata(body)["call_history"]) == 4


async def test_max_calls_counts_retries_and_fallbacks(testbed: Testbed) -> None:
    down = error(503, "down")
    setup = await testbed.start(error(500, "down"), down, down, down, routing={"max_calls": 2})
    response = await setup.send()
    assert response.status_code == 503
    assert sum(len(upstream.requests) for upstream in setup.targets.values()) == 2


# Review.


async def test_without_review_only_the_first_call_is_made_and_its_answer_returned(testbed: Testbed) -> None:
    both = decision("call_beta", "call_alpha")
    setup = await testbed.start(in_turn(both), None, text("b"), routing={"review": "never"})
    body = await setup.answer()
    assert (content(body), *strategy(body)) == ("b", "committed", "beta")
    assert len(setup.model.requests) == 1
    assert not setup.alpha.requests


async def test_a_request_may_choose_its_review(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("a"), None)
    assert strategy(await setup.answer(router={"review": "never"})) == ("committed", "alpha")


async def test_with_buffered_review_a_stream_with_one_call_is_committed(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("a"), None)
    *_, last, done = await setup.stream()
    assert (strategy(last), done) == (("committed", "alpha"), "[DONE]")
    assert len(setup.model.requests) == 1


@pytest.mark.parametrize(("review", "calls"), [("always", ["call_alpha"]), ("buffered", ["call_alpha", "call_beta"])])
async def test_a_reviewed_stream_is_chosen_and_replayed(testbed: Testbed, review: str, calls: Iterable[str]) -> None:
    setup = await testbed.start(in_turn(decision(*calls), select("call_1")), text("a"), text("b"))
    *received, last, done = await setup.stream(router={"review": review})
    assert (strategy(last), done) == (("select_response", "alpha"), "[DONE]")
    assert [each["choices"][0]["delta"].get("content") for each in received] == ["", "a"]


# The other endpoints.


async def test_a_preview_returns_the_decision_without_calling_a_target(testbed: Testbed) -> None:
    arguments = {"optimized_system_prompt": ADVICE, "temperature": 0.5}
    setup = await testbed.start(advised(**arguments), None, None, changes={"beta": {"capabilities": []}})
    fields = {"model": "router", "messages": QUESTION, "tools": TOOLS}
    body = exact((await setup.client.post("/v1/route", json=fields)).content)
    assert body["decided_by"] == "router"
    assert body["calls"] == [{"target": "alpha", "arguments": arguments}]
    alpha, beta = body["candidates"]
    assert (alpha["target"], alpha["kept"], alpha["reason"]) == ("alpha", True, None)
    assert alpha["estimated_cost"] > 0
    assert (beta["target"], beta["kept"]) == ("beta", False)
    assert "tools" in beta["reason"]
    assert body["router_metadata"]["total_cost"] == Decimal("0.000007")
    assert len(setup.model.requests) == 1
    assert not setup.alpha.requests + setup.beta.requests


async def test_a_preview_without_a_decision_returns_the_fallback(testbed: Testbed) -> None:
    setup = await testbed.start(error(500, "down"), None, None, routing={"fallback": ["beta"]})
    body = (await setup.client.post("/v1/route", json={"model": "router", "messages": QUESTION})).json()
    assert (body["decided_by"], body["calls"]) == ("fallback", [{"target": "beta", "arguments": {}}])


async def test_a_preview_refuses_invalid_requests(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    response = await setup.client.post("/v1/route", json={"model": "router", "messages": []})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages"


async def test_the_models_are_the_routers_names_the_aliases_and_the_targets(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None, routing={"aliases": ["gpt-4o"]})
    listed = (await setup.client.get("/v1/models")).json()
    assert listed["object"] == "list"
    names = [model["id"] for model in listed["data"]]
    assert names == ["router-tool-rl", "router", "gpt-4o", "alpha", "beta"]
    for name in names:
        assert (await setup.client.get(f"/v1/models/{name}")).json()["id"] == name
    missing = await setup.client.get("/v1/models/nobody")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_the_front_page_shows_the_configuration_without_secrets(testbed: Testbed) -> None:
    model = await testbed.upstream()
    alpha = await testbed.upstream()
    hidden = alpha.url.replace("://", "://user:pass-word@")
    secrets = {"headers": {"X-Key": "header-secret"}, "query": {"key": "query-secret"}}
    router = await testbed.start_router(router=router_section(model.url), targets=[target("alpha", hidden, **secrets)])
    page = await router.client.get("/")
    assert {"service", "version", "configuration"} <= page.json().keys()
    for secret in ("pass-word", "header-secret", "query-secret"):
        assert secret not in page.text


async def test_health_reports_the_state_of_every_upstream(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, error(500, "broken"))
    health = (await setup.client.get("/health")).json()
    assert health["status"] == "ok"
    assert health["router_model"]["state"] == "ok"
    await setup.send(model="beta")
    health = (await setup.client.get("/health")).json()
    assert health["status"] == "degraded"
    assert [health["targets"][name]["state"] for name in ("alpha", "beta")] == ["ok", "bad"]
    assert (await setup.client.get("/ready")).status_code == 200


async def test_the_tools_page_shows_the_prompt_and_the_tools_of_the_router_model(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None, changes={"alpha": {"description": "good at sums"}})
    await setup.answer()
    page = (await setup.client.get("/debug/tools")).json()
    assert page["system_prompt"] == setup.model.bodies[0]["messages"][0]["content"]
    assert page["tools"] == setup.model.bodies[1]["tools"]
    assert "good at sums" in json.dumps(page["tools"])
    assert [entry["name"] for entry in page["targets"]] == ["alpha", "beta"]


async def test_the_cost_counters_equal_the_logged_ledgers(testbed: Testbed) -> None:
    setup = await testbed.start(None, in_turn(completion(used=usage(123, 45)), completion(used=usage(7, 1)), reset),
                              error(500, "down"))  # fmt: skip
    before = metric((await setup.client.get("/metrics")).text, "rl_router_cost_usd_total")
    await setup.send()
    await setup.send(model="beta")
    await setup.send(model="alpha")
    await setup.send(model="alpha")
    await setup.client.post("/v1/route", json={"model": "router", "messages": QUESTION})
    spent = metric((await setup.client.get("/metrics")).text, "rl_router_cost_usd_total") - before
    logged = sum(ledger["total_cost"] for ledger in setup.router.ledgers)
    assert logged > 0
    assert float(spent) == pytest.approx(float(logged), rel=1e-9)
    assert len(setup.router.ledgers) == 5


async def test_metrics_count_requests_calls_tokens_and_times(testbed: Testbed) -> None:
    setup = await testbed.start(None, text(used=usage(11, 7)), error(401, "no key"), routing={"fallback": ["beta"]})
    await setup.answer()
    await setup.stream()
    await setup.send(model="beta")
    page = (await setup.client.get("/metrics")).text
    assert metric(page, 'rl_router_requests_total{status="200",strategy="select_response"}') == 1
    assert metric(page, 'rl_router_requests_total{status="200",strategy="committed"}') == 1
    assert metric(page, 'rl_router_requests_total{status="502",strategy="none"}') == 1
    assert metric(page, 'rl_router_calls_total{kind="target",model="alpha",status="ok"}') == 2
    assert metric(page, 'rl_router_calls_total{kind="target",model="beta",status="error"}') == 1
    assert metric(page, 'rl_router_calls_total{kind="router",model="router",status="ok"}') == 3
    assert metric(page, 'rl_router_tokens_total{direction="input",kind="target",model="alpha"}') == 22
    assert metric(page, 'rl_router_tokens_total{direction="output",kind="target",model="alpha"}') == 14
    assert metric(page, "rl_router_request_seconds_count") == 3
    assert metric(page, 'rl_router_call_seconds_count{kind="target",model="alpha"}') == 2
    assert metric(page, "rl_router_time_to_first_token_seconds_count") == 1
    assert metric(page, 'rl_router_breaker_open{model="beta"}') == 0
    assert metric(page, "rl_router_in_flight") == 0


async def test_no_value_of_a_client_becomes_a_label(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, routing={"aliases": ["gpt-alias"]})
    for model in ("nobody-knows", "gpt-alias", "alpha"):
        await setup.client.post(
            "/v1/chat/completions", headers={"x-request-id": "client-value"},
            json={"model": model, "messages": QUESTION, "user": "client-value", "metadata": {"a": "client-value"}},
        )  # fmt: skip
    page = (await setup.client.get("/metrics")).text
    assert not [value for value in ("nobody-knows", "gpt-alias", "client-value") if value in page]


async def test_the_cost_of_probes_of_the_router_model_is_counted_separately(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    page = (await setup.client.get("/metrics")).text
    assert float(metric(page, "rl_router_probe_cost_usd_total")) == pytest.approx(0.000007)
    assert metric(page, "rl_router_probe_tokens_total") == 120
    assert metric(page, "rl_router_cost_usd_total") == metric(page, "rl_router_requests_total") == 0


# Request ids, headers, metadata.


async def send_with_id(setup: Setup, request_id: str) -> httpx.Response:
    body = {"model": "router", "messages": QUESTION}
    return await setup.client.post("/v1/chat/completions", headers={"x-request-id": request_id}, json=body)


@pytest.mark.parametrize("request_id", ["req-1.A_b", "x" * 128])
async def test_a_clients_request_id_is_kept(testbed: Testbed, request_id: str) -> None:
    setup = await testbed.start(None, None)
    response = await send_with_id(setup, request_id)
    assert response.headers["x-request-id"] == request_id
    assert response.json()["router_metadata"]["request_id"] == request_id
    assert setup.router.ledgers[-1]["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["x" * 129, "with space", "", "semi;colon"])
async def test_an_invalid_request_id_is_replaced(testbed: Testbed, request_id: str) -> None:
    setup = await testbed.start(None, None)
    response = await send_with_id(setup, request_id)
    assert response.headers["x-request-id"] != request_id
    assert response.headers["x-request-id"] == response.json()["router_metadata"]["request_id"]


async def test_the_headers_have_the_model_and_the_cost(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("a"), None)
    response = await setup.send()
    assert response.headers["x-router-model"] == "alpha"
    total = exact(response.content)["router_metadata"]["total_cost"]
    assert Decimal(response.headers["x-router-cost"]) == total
    streamed = await setup.send(stream=True)
    assert streamed.headers["x-router-model"] == "alpha"
    assert "x-request-id" in streamed.headers


async def test_a_brief_call_history_leaves_out_the_answers(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("a secret"), None, routing={"call_history": "brief"})
    (entry,) = metadata(await setup.answer())["call_history"]
    assert "response" not in entry
    assert entry["cost"] > 0


async def test_the_log_contains_no_text_of_the_conversation(testbed: Testbed) -> None:
    router = in_turn(decision(call("call_alpha", optimized_system_prompt="advice-text")), select("alpha"))
    setup = await testbed.start(router, text("answer-text"), None)
    await setup.answer(messages=[{"role": "user", "content": "question-text"}])
    logged = json.dumps(setup.router.log, default=str)
    assert not [text for text in ("advice-text", "answer-text", "question-text") if text in logged]


async def test_the_log_contains_prompts_and_answers_if_log_prompts_is_set(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("from alpha"), None, server={"log_prompts": True})
    await setup.answer()
    (ledger,) = setup.router.ledgers
    assert ledger["messages"] == QUESTION
    assert [entry["response"] for entry in ledger["call_history"]] == ["from alpha"]


async def test_the_usage_is_that_of_the_chosen_answer(testbed: Testbed) -> None:
    used = usage(50, 7, prompt_tokens_details={"cached_tokens": 20}, cost=0.5)
    setup = await testbed.start(None, text("a", used=used), None)
    body = await setup.answer()
    assert body["usage"] == exact(json.dumps(used))
    (entry,) = metadata(body)["call_history"]
    assert entry["usage"] == exact(json.dumps(used))
    assert entry["tokens_used"] == 57
    assert entry["cost"] == (50 * Decimal(PRICE["input"]) + 7 * Decimal(PRICE["output"])) / 1_000_000


async def test_cached_tokens_and_requests_have_their_own_price(testbed: Testbed) -> None:
    price = {"input": 1, "cached_input": "0.1", "output": 2, "request": "0.003"}
    used = usage(100, 10, prompt_tokens_details={"cached_tokens": 60})
    setup = await testbed.start(None, text("a", used=used), changes={"alpha": {"price": price}})
    (entry,) = metadata(await setup.answer())["call_history"]
    assert entry["cost"] == Decimal("0.003") + (40 + 6 + 20) * Decimal("1e-6")


async def test_a_missing_usage_is_estimated_and_marked(testbed: Testbed) -> None:
    without_usage = {name: value for name, value in completion("word " * 40).items() if name != "usage"}
    setup = await testbed.start(None, whole(without_usage))
    body = await setup.answer()
    (entry,) = metadata(body)["call_history"]
    assert entry["estimated"] is True
    assert entry["usage"]["completion_tokens"] == 50
    assert entry["cost"] > 0
    assert "usage" not in body
