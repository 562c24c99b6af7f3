"""Conversations with other models' tool calls, thinking and signatures, in the form that each target accepts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.config import Target, ToolCallIds
from rl_router_api.conversation.additions import FOREIGN_HISTORY, NO_ADVICE
from rl_router_api.conversation.affinity import affinity_of, with_affinity
from rl_router_api.dialects.chat.read_request import read_request
from rl_router_api.dialects.chat.sizes import max_input_tokens
from rl_router_api.dialects.chat.write_request import write_request
from rl_router_api.dialects.tool_call_ids import ToolCallIdMap
from rl_router_api.dialects.upstream_dialect import Payload

from fakes.testbed.json_values import json_values
from fakes.testbed.responses import history
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import by_request
from fakes.upstreams.bodies import completion
from fakes.upstreams.exchange import Answer, Body, Exchange
from fakes.upstreams.faults import error

NINE = {"length": 9, "characters": "letters_digits"}
FORTY = {"max_length": 40}
DASHES = {"characters": "letters_digits_dashes"}
IDS = [
    "call_PTLP8xhu3uwZk4l3nlnrrJha",
    "chatcmpl-tool-" + "a" * 32,
    "functions.look:0",
    "toolu_01A09q90qw",
    "D681PevKs",
    "x",
]


def target(name: str = "alpha", **fields: Any) -> Target:
    return Target.model_validate({"name": name, "base_url": "http://a/v1", **fields})


def tool_turn(tool_call_id: str, *, message: Body | None = None, call: Body | None = None) -> list[Body]:
    """Returns an assistant message with one tool call, and the tool's result."""
    function = {"name": "look", "arguments": "{}"}
    calls = [{"id": tool_call_id, "type": "function", "function": function, **(call or {})}]
    return [
        {"role": "assistant", "content": None, "tool_calls": calls, **(message or {})},
        {"role": "tool", "tool_call_id": tool_call_id, "content": "a cat"},
    ]


def asked(*turns: Body) -> list[Body]:
    return [{"role": "user", "content": "Look."}, *turns, {"role": "user", "content": "And now?"}]


def payload(to: Target, messages: list[Body], family: tuple[str, ...] = (), **fields: Any) -> Payload:
    request = read_request(json.dumps({"model": "router", "messages": messages}).encode())
    return write_request(request, to, NO_ADVICE, family=family, **fields)


def sent(to: Target, messages: list[Body], family: tuple[str, ...] = (), **fields: Any) -> Any:
    return json.loads(payload(to, messages, family, **fields).body)["messages"]


def ids_in(messages: list[Body]) -> list[str]:
    calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    return calls + [message["tool_call_id"] for message in messages if "tool_call_id" in message]


@pytest.mark.parametrize(
    ("rule", "pattern", "kept"),
    [
        (NINE, r"[A-Za-z0-9]{9}", ["D681PevKs"]),
        (FORTY, r".{1,40}", [IDS[0], *IDS[2:]]),
        (DASHES, r"[A-Za-z0-9_-]+", [IDS[0], IDS[1], *IDS[3:]]),
        ({}, r".+", IDS),
    ],
)
@pytest.mark.parametrize("marked", [True, False])
def test_tool_call_ids_are_mapped_to_the_form_that_the_target_accepts(
    rule: Any, pattern: str, kept: list[str], marked: bool
) -> None:
    turns = [part for each in IDS for part in tool_turn(with_affinity(each, "beta") if marked else each)]
    mapped = ids_in(sent(target(history={"tool_call_ids": rule}), asked(*turns)))
    assert mapped[: len(IDS)] == mapped[len(IDS) :]
    assert all(re.fullmatch(pattern, each) for each in mapped)
    assert len(set(mapped)) == len(IDS)
    assert [each for each, original in zip(mapped, IDS, strict=False) if each == original] == [
        each for each in IDS if each in kept
    ]


def test_a_mapped_id_is_the_same_in_every_turn_and_for_every_server() -> None:
    to = target(history={"tool_call_ids": NINE})
    first = sent(to, asked(*tool_turn("call_1")))
    later = sent(to, asked(*tool_turn("call_1"), *tool_turn("call_2")))
    assert later[: len(first) - 1] == first[:-1]
    assert ids_in(first) == ["Z4Bx1klu7", "Z4Bx1klu7"]


def parallel(*tool_call_ids: str) -> list[Body]:
    """Returns an assistant message with parallel tool calls, and the results of the tool calls."""
    calls = [
        {"id": each, "type": "function", "function": {"name": "look", "arguments": "{}"}} for each in tool_call_ids
    ]
    tools = [{"role": "tool", "tool_call_id": each, "content": "a cat"} for each in tool_call_ids]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *tools]


@pytest.mark.parametrize("rule", [NINE, FORTY, DASHES, {}])
@pytest.mark.parametrize("each", ["", "call_1", "D681PevKs", with_affinity("call_1", "beta")])
def test_parallel_calls_with_the_same_id_are_told_apart_by_their_order(rule: Any, each: str) -> None:
    to = target(history={"tool_call_ids": rule})
    first = sent(to, asked(*parallel(each, each, each)))
    mapped = ids_in(first)
    assert mapped[:3] == mapped[3:]
    assert len(set(mapped)) == 3
    later = sent(to, asked(*parallel(each, each, each), *parallel(each, each)))
    assert later[: len(first) - 1] == first[:-1]
    assert ids_in(later[len(first) - 1 :]) == [*mapped[:2], *mapped[:2]]


@pytest.mark.parametrize("rule", [NINE, FORTY, DASHES])
def test_an_empty_id_is_mapped_if_the_target_has_a_rule_for_ids(rule: Any) -> None:
    assert all(ids_in(sent(target(history={"tool_call_ids": rule}), asked(*tool_turn("")))))


def test_a_second_result_of_one_call_keeps_the_id_of_the_call() -> None:
    turn = tool_turn("call_1")
    mapped = ids_in(sent(target(history={"tool_call_ids": NINE}), asked(*turn, turn[-1])))
    assert len(set(mapped)) == 1


RULES = st.builds(
    ToolCallIds,
    length=st.none() | st.integers(8, 12),
    max_length=st.none() | st.integers(8, 40),
    characters=st.sampled_from(["any", "letters_digits_dashes", "letters_digits"]),
)
HISTORIES = st.lists(st.text(max_size=12) | st.from_regex(r"[a-z0-9]{9}", fullmatch=True), max_size=12)


@settings(max_examples=200, deadline=None)
@given(RULES, HISTORIES)
def test_different_ids_stay_different_and_later_ids_change_no_earlier_id(rule: ToolCallIds, ids: list[str]) -> None:
    whole, growing = ToolCallIdMap(rule), ToolCallIdMap(rule)
    mapped = [whole.mapped(each) for each in ids]
    assert len(set(mapped)) == len(set(ids))
    assert [growing.mapped(each) for each in ids[: len(ids) // 2]] == mapped[: len(ids) // 2]
    accepts_all = ToolCallIdMap(rule)
    assert [accepts_all.mapped(each) for each in dict.fromkeys(mapped)] == list(dict.fromkeys(mapped))


def test_an_id_that_equals_an_earlier_mapped_id_is_mapped_to_another_id() -> None:
    rule = ToolCallIds.model_validate(NINE)
    (taken,) = {ToolCallIdMap(rule).mapped("call_1")}
    ids = ToolCallIdMap(rule)
    assert ids.mapped("call_1") == taken
    assert ids.mapped(taken) != taken
    assert ids.mapped(taken) == ids.mapped(taken)


@pytest.mark.parametrize("maker", ["alpha", "sibling"])
def test_calls_of_the_same_signing_family_keep_their_ids_and_signatures(maker: str) -> None:
    signature = {"extra_content": {"google": {"thought_signature": "AbC=="}}}
    turn = tool_turn(with_affinity("function-call-1", maker), message={"reasoning_content": "Hm."}, call=signature)
    to = target(history={"tool_call_ids": NINE, "drop": ["reasoning_content", "extra_content"]})
    family = (affinity_of("alpha"), affinity_of("sibling"))
    assert sent(to, asked(*turn), family) == asked(
        *tool_turn("function-call-1", message={"reasoning_content": "Hm."}, call=signature)
    )
    assert sent(to, asked(*turn)) != sent(to, asked(*turn), family)


THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
TEXT = {"type": "text", "text": "A cat."}


@pytest.mark.parametrize(
    ("names", "turn", "expected", "dropped"),
    [
        (["reasoning_content"], tool_turn("a", message={"reasoning_content": "Hm."}), tool_turn("a"),
         ["messages.reasoning_content"]),
        (["reasoning_details"], [{"role": "assistant", "content": "4", "reasoning_details": [{"data": "x"}]}],
         [{"role": "assistant", "content": "4"}], ["messages.reasoning_details"]),
        (["extra_content"], tool_turn("a", call={"extra_content": {"google": {}}}), tool_turn("a"),
         ["messages.extra_content"]),
        (["provider_specific_fields", "name"],
         tool_turn("a", call={"function": {"name": "look", "arguments": "{}", "provider_specific_fields": {}}}),
         tool_turn("a"), ["messages.provider_specific_fields"]),
        (["thinking"], [{"role": "assistant", "content": [THINKING, TEXT]}],
         [{"role": "assistant", "content": [TEXT]}], ["messages.thinking"]),
        (["thinking"], tool_turn("a", message={"content": [THINKING]}), tool_turn("a"), ["messages.thinking"]),
        (["thinking"], [{"role": "assistant", "content": [THINKING]}], [{"role": "assistant", "content": ""}],
         ["messages.thinking"]),
        (["refusal"], [{"role": "assistant", "content": "4", "refusal": None}],
         [{"role": "assistant", "content": "4"}], ["messages.refusal"]),
        (["text"], [{"role": "user", "content": [TEXT]}], [{"role": "user", "content": [TEXT]}], []),
        (["thinking"], [{"role": "assistant", "content": "About \"thinking\""}],
         [{"role": "assistant", "content": "About \"thinking\""}], []),
    ],
)  # fmt: skip
def test_fields_that_the_target_rejects_are_removed_from_other_models_answers(
    names: list[str], turn: list[Body], expected: list[Body], dropped: list[str]
) -> None:
    body = payload(target(history={"drop": names}), asked(*turn))
    assert json.loads(body.body)["messages"] == asked(*expected)
    assert list(body.dropped) == dropped


PLACEHOLDER = {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}
SIGNED = {"extra_content": {"google": {"thought_signature": "AbC=="}}}


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (tool_turn("a"), tool_turn("a", call=PLACEHOLDER)),
        (tool_turn("a", call=SIGNED), tool_turn("a", call=SIGNED)),
        ([{"role": "assistant", "content": "4"}], [{"role": "assistant", "content": "4"}]),
    ],
)
def test_a_required_signature_is_added_only_where_it_is_missing(turn: list[Body], expected: list[Body]) -> None:
    assert sent(target(history={"add_to_tool_calls": PLACEHOLDER}), asked(*turn)) == asked(*expected)


@pytest.mark.parametrize("signed", [True, False])
def test_parallel_calls_have_one_signature_at_the_first_call(signed: bool) -> None:
    (message, _), (other, _) = tool_turn("a", call=SIGNED if signed else None), tool_turn("b")
    message["tool_calls"] += other["tool_calls"]
    (answer,) = [
        each
        for each in sent(target(history={"add_to_tool_calls": PLACEHOLDER}), asked(message))
        if "tool_calls" in each
    ]
    assert [call.get("extra_content") for call in answer["tool_calls"]] == [
        (SIGNED if signed else PLACEHOLDER)["extra_content"], None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "expected"), [({}, ""), ({"reasoning_content": None}, ""), ({"reasoning_content": "Hm."}, "Hm.")]
)
def test_required_thinking_is_added_only_where_it_is_missing(message: Body, expected: str) -> None:
    to = target(history={"add_to_messages": {"reasoning_content": ""}})
    user, answer, *_ = sent(to, asked(*tool_turn("a", message=message)))
    assert answer["reasoning_content"] == expected
    assert "reasoning_content" not in user


def test_a_target_without_rules_gets_the_history_as_the_client_sent_it() -> None:
    turn = tool_turn(IDS[1], message={"reasoning_content": "Hm.", "content": [THINKING]}, call=SIGNED)
    assert sent(target(), asked(*turn)) == asked(*turn)


def test_a_history_without_tool_calls_and_thinking_keeps_its_bytes() -> None:
    body = b'{"model":"m","messages":[ {"role": "user",  "content":"x"} ]}'
    to = target(history={"tool_call_ids": NINE, "drop": ["reasoning_content"]})
    assert b'[ {"role": "user",  "content":"x"} ]' in write_request(read_request(body), to, NO_ADVICE).body


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=3), max_size=6), st.booleans())
def test_the_bound_of_the_input_covers_what_is_added(ids: list[str], plain: bool) -> None:
    to = target(history={"tool_call_ids": NINE, "add_to_messages": {"reasoning_content": "x" * 50},
                         "add_to_tool_calls": PLACEHOLDER})  # fmt: skip
    turns = [part for each in ids for part in tool_turn(each)]
    messages = asked(*turns)
    request = read_request(json.dumps({"model": "m", "messages": messages}, separators=(",", ":")).encode())
    body = write_request(request, to, NO_ADVICE, without=(FOREIGN_HISTORY,) if plain else ()).body
    assert len(json.loads(body)["messages"]) == len(messages)
    assert len(body) - len('{"model":"alpha","messages":}') <= max_input_tokens(request, to)


JSON = json_values()
CALLS = st.fixed_dictionaries({}, optional={"id": JSON | st.sampled_from(IDS), "function": JSON, "extra_content": JSON})
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["assistant", "tool", "user", "made_up"])},
    optional={
        "content": st.text(max_size=5) | st.lists(st.sampled_from([THINKING, TEXT])),
        "tool_calls": st.none() | st.lists(CALLS, max_size=3),
        "tool_call_id": st.none() | st.sampled_from(IDS),
        "reasoning_content": JSON,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=5), st.booleans())
def test_any_history_keeps_its_messages_and_everything_that_is_not_adapted(messages: list[Body], plain: bool) -> None:
    to = target(history={"tool_call_ids": NINE, "drop": ["reasoning_content", "extra_content", "thinking"],
                         "add_to_tool_calls": {"added": 1}})  # fmt: skip
    adapted = sent(to, messages, without=(FOREIGN_HISTORY,) if plain else ())
    assert [message["role"] for message in adapted] == [message["role"] for message in messages]
    for before, after in zip(messages, adapted, strict=True):
        assert len(after.get("tool_calls") or ()) == len(before.get("tool_calls") or ())
        if before["role"] != "assistant":
            assert after.get("content") == before.get("content")
        for old, new in zip(before.get("tool_calls") or (), after.get("tool_calls") or (), strict=True):
            assert new.get("function") == old.get("function")
            if isinstance(old.get("id"), str):
                assert re.fullmatch(r"[A-Za-z0-9]{9}", new["id"])


def strict(pattern: str, message: str) -> Answer:
    """Returns a target that refuses tool call ids that do not match the pattern, and fields of thinking."""

    def answer(exchange: Exchange) -> Answer | Body:
        messages = exchange.body["messages"]
        fits = all(re.fullmatch(pattern, each) for each in ids_in(messages))
        return completion("4") if fits and "reasoning_content" not in str(messages) else error(400, message)

    return by_request(answer)


REFUSALS = [
    (r"[a-zA-Z0-9]{9}", "Tool call id was x but must be a-z, A-Z, 0-9, with a length of 9."),
    (r".{0,40}", "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a maximum length of 40."),
    (r"[a-zA-Z0-9_-]+", "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
    (r".*", "property 'reasoning_content' is unsupported"),
]


@pytest.mark.parametrize(("pattern", "message"), REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_target_that_refuses_a_foreign_history_is_asked_once_more_in_plain_form(
    testbed: Testbed, pattern: str, message: str, stream: bool
) -> None:
    setup = await testbed.start(None, strict(pattern, message))
    turns = [part for each in IDS for part in tool_turn(each, message={"reasoning_content": "Hm."})]
    for expected in ([("alpha", "error"), ("alpha", "ok")], [("alpha", "ok")]):
        if stream:
            *_, last, end = await setup.stream(model="alpha", messages=asked(*turns))
            assert end == "[DONE]"
        else:
            last = await setup.answer(model="alpha", messages=asked(*turns))
        assert history(last["router_metadata"]) == expected
        assert last["router_metadata"]["call_history"][-1]["dropped_params"] == ["messages.reasoning_content"]


FOREIGN_FIELDS = ["provider_specific_fields", "reasoning_text", "reasoning_opaque", "thought_signature", "signature",
                  "annotations", "citations", "audio", "images", "refusal", "executed_tools", "tool_plan"]  # fmt: skip


@pytest.mark.parametrize("field", FOREIGN_FIELDS)
@pytest.mark.parametrize("place", ["message", "call", "function"])
async def test_a_target_that_refuses_a_field_of_other_models_is_called_without_the_field(
    testbed: Testbed, field: str, place: str
) -> None:
    def answer(exchange: Exchange) -> Answer | Body:
        has_field = f'"{field}"' in exchange.raw.decode()
        return error(400, f"'messages.1': property '{field}' is unsupported") if has_field else completion("4")

    function = {"name": "look", "arguments": "{}", **({field: "x"} if place == "function" else {})}
    call = {"function": function, **({field: "x"} if place == "call" else {})}
    setup = await testbed.start(None, by_request(answer))
    turn = tool_turn("D681PevKs", message={field: "x"} if place == "message" else None, call=call)
    for expected in ([("alpha", "error"), ("alpha", "ok")], [("alpha", "ok")]):
        answered = await setup.answer(model="alpha", messages=asked(*turn))
        assert history(answered["router_metadata"]) == expected


async def test_a_refused_target_keeps_the_ids_and_thinking_of_its_own_calls(testbed: Testbed) -> None:
    setup = await testbed.start(None, strict(r"[a-zA-Z0-9]{9}|own_.*", "Tool call id was call_1"))
    own = tool_turn(with_affinity("own_call_number_1", "alpha"))
    for turns in (tool_turn("call_1"), own):
        await setup.answer(model="alpha", messages=asked(*turns, *own))
    assert ids_in(setup.alpha.requests[-1].body["messages"]) == ["own_call_number_1"] * 4


@pytest.mark.parametrize(
    "messages",
    [
        asked(),
        asked(*tool_turn(with_affinity("call_1", "alpha"))),
        asked(*tool_turn("D681PevKs")),
    ],
)
async def test_a_refused_request_without_foreign_parts_is_not_repeated(testbed: Testbed, messages: list[Body]) -> None:
    setup = await testbed.start(None, by_request(lambda _: error(400, "too long")))
    response = await setup.send(model="alpha", messages=messages)
    assert response.status_code == 400
    assert len(setup.alpha.requests) == 1


async def test_targets_of_one_signing_family_accept_each_others_history(testbed: Testbed) -> None:
    rules = {"signing_family": "google", "history": {"tool_call_ids": NINE, "drop": ["reasoning_content"]}}
    setup = await testbed.start(None, None, None, changes={"alpha": rules, "beta": rules})
    turn = tool_turn(with_affinity("function-call-1", "beta"), message={"reasoning_content": "Hm."})
    await setup.answer(model="alpha", messages=asked(*turn))
    assert setup.alpha.requests[-1].body["messages"] == asked(
        *tool_turn("function-call-1", message={"reasoning_content": "Hm."})
    )
