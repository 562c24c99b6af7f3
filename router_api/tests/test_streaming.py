"""Streamed answers: their bytes, events, metadata, faults and pings."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import events, exact, streamed_text
from fakes.testbed.router import Setup, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import after, in_turn, stream, text
from fakes.upstreams.bodies import chunk, chunks, decision, event, reply, select, usage
from fakes.upstreams.exchange import Body, Exchange
from fakes.upstreams.faults import HALF, cut_after, error, half_then_data, hang, reset

USAGE = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "upstream-model", "choices": []}
ODD = b'{ "id":"c1","model" : "upstream-model","x_unknown":1.0,"choices":[{"index":0,"delta":{"content":"\\u00e9 \xc3\xa9"},"finish_reason":null}],"big":123456789012345678901234567890 }'  # noqa: E501


def with_metadata(received: list[Any]) -> list[int]:
    """Returns the positions of the events with metadata."""
    return [position for position, each in enumerate(received) if "router_metadata" in each]


async def raw(setup: Setup, **fields: Any) -> bytes:
    return (await setup.send(stream=True, **fields)).content


# Relayed bytes.


async def test_only_the_name_of_the_model_is_changed_in_relayed_chunks(testbed: Testbed) -> None:
    pieces = [ODD, b'{"model":"upstream-model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}']
    setup = await testbed.start(None, stream(pieces))
    first, last, done, _ = (await raw(setup)).split(b"\n\n")
    assert first == b"data: " + ODD.replace(b'"upstream-model"', b'"router-tool-rl"')
    assert last.startswith(b'data: {"model":"router-tool-rl","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]')
    assert done == b"data: [DONE]"


async def test_a_text_that_contains_a_model_field_is_not_changed(testbed: Testbed) -> None:
    quoting = chunk({"content": '"model":"upstream-model" is its name'})
    setup = await testbed.start(None, stream([quoting, chunk({}, "stop")]))
    assert streamed_text(await setup.stream()) == '"model":"upstream-model" is its name'


@pytest.mark.parametrize("model", [b"", b'"model":"\\u0061lpha",'], ids=["no name", "an escaped name"])
async def test_many_chunks_without_a_name_to_change_are_relayed(testbed: Testbed, model: bytes) -> None:
    piece = b'{%b"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}' % model
    end = piece.replace(b"null", b'"stop"')
    setup = await testbed.start(None, stream([piece] * 5_000 + [end]))
    assert streamed_text(await setup.stream()) == "a" * 5_001


@pytest.mark.parametrize("ending", ["\r\n\r\n", "\n\n"])
async def test_events_are_read_with_any_division_and_line_ending(testbed: Testbed, ending: str) -> None:
    data = b"".join(map(event, [*chunks("été", " ✓"), b"[DONE]"])).replace(b"\n\n", ending.encode())
    data = b": a comment" + ending.encode() + b"event: message\ndata: " + data.removeprefix(b"data: ")
    setup = await testbed.start(None, cut_after([bytes([byte]) for byte in data], Exchange.end))
    received = await setup.stream()
    assert streamed_text(received) == "été ✓"
    assert received[-1] == "[DONE]"


async def test_a_stream_has_the_content_type_of_events_and_no_length(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    response = await setup.send(stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in response.headers


# Usage and metadata.


async def test_the_usage_is_always_requested_but_only_sent_to_clients_that_requested_it(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    received = await setup.stream()
    assert setup.alpha.bodies[0]["stream_options"] == {"include_usage": True}
    assert not any("usage" in each for each in received)
    assert all(each["choices"] for each in received[:-1])


async def test_without_usage_the_metadata_is_in_the_last_chunk_with_a_finish_reason(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    received = await setup.stream()
    assert with_metadata(received) == [len(received) - 2]
    assert received[-2]["choices"][0]["finish_reason"] == "stop"
    assert received[-2]["router_metadata"]["call_history"][0]["usage"] == usage()


async def test_if_the_client_requested_usage_the_metadata_is_in_the_chunk_with_the_usage(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    received = await setup.stream(stream_options={"include_usage": True, "include_obfuscation": False})
    assert setup.alpha.bodies[0]["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert with_metadata(received) == [len(received) - 2]
    assert (received[-2]["choices"], received[-2]["usage"]) == ([], usage())


@pytest.mark.parametrize("requested", [False, True])
async def test_a_usage_in_the_chunk_of_the_last_choice_gets_no_separate_chunk(
    testbed: Testbed, requested: bool
) -> None:
    end = {**chunk({}, "stop"), "usage": usage(3, 4)}
    setup = await testbed.start(None, stream([chunk({"content": "x"}), end]))
    received = await setup.stream(stream_options={"include_usage": requested})
    assert with_metadata(received) == [len(received) - 2]
    assert ("usage" in received[-2]) is requested
    assert received[-2]["router_metadata"]["call_history"][0]["tokens_used"] == 7
    assert all(each["choices"] for each in received[:-1])


async def test_if_a_target_reports_no_usage_no_chunk_with_empty_choices_is_added(testbed: Testbed) -> None:
    setup = await testbed.start(None, stream([chunk({"content": "x" * 40}), chunk({}, "stop")]))
    received = await setup.stream(stream_options={"include_usage": True})
    assert len(received) == 3
    assert with_metadata(received) == [1]
    assert received[1]["router_metadata"]["call_history"][0]["estimated"] is True


async def test_the_metadata_stays_with_the_finish_reason_if_another_chunk_follows(testbed: Testbed) -> None:
    trailing = {**USAGE, "x_filter": "clean"}
    setup = await testbed.start(None, stream([chunk({"content": "x"}), chunk({}, "stop"), trailing]))
    received = await setup.stream()
    (position,) = with_metadata(received)
    assert received[position]["choices"][0]["finish_reason"] == "stop"
    assert len(received) == 4


@pytest.mark.parametrize("fields", [{"content_filter_results": {}}, {"delta": {}}, {"delta": {"content": ""}}])
@pytest.mark.parametrize("requested", [False, True])
async def test_the_metadata_stays_with_the_finish_reason_if_a_chunk_without_content_follows(
    testbed: Testbed, fields: Body, requested: bool
) -> None:
    trailing = {**USAGE, "choices": [{"index": 0, "finish_reason": None, **fields}], "usage": usage(3, 4)}
    setup = await testbed.start(None, stream([chunk({"content": "x"}), chunk({}, "stop"), trailing]))
    received = await setup.stream(stream_options={"include_usage": requested})
    (position,) = with_metadata(received)
    assert received[position]["choices"][0]["finish_reason"] == "stop"
    assert received[position]["router_metadata"]["call_history"][0]["tokens_used"] == 7
    assert len(received) == 4
    assert ("usage" in received[2]) is requested


async def test_an_answer_that_ended_early_because_the_target_failed_is_relayed(testbed: Testbed) -> None:
    setup = await testbed.start(None, stream([chunk({"content": "half"}), chunk({}, "network_error")]), None)
    received = await setup.stream()
    assert (streamed_text(received), received[-1]) == ("half", "[DONE]")
    assert received[-2]["choices"][0]["finish_reason"] == "network_error"
    answer = await setup.answer()
    assert answer["choices"][0]["finish_reason"] == "network_error"


async def test_a_targets_chunk_with_empty_choices_is_relayed(testbed: Testbed) -> None:
    filtered = {**USAGE, "prompt_filter_results": [{"prompt_index": 0}]}
    setup = await testbed.start(None, stream([filtered, chunk({"content": "x"}), chunk({}, "stop")]))
    received = await setup.stream()
    assert received[0]["prompt_filter_results"] == [{"prompt_index": 0}]
    assert len(received) == 4


@pytest.mark.parametrize("used", [usage(), {}, None])
@pytest.mark.parametrize("name", ["timings", "citations", "prompt_filter_results"])
async def test_what_a_target_says_beside_the_usage_reaches_a_client_that_requested_no_usage(
    testbed: Testbed, name: str, used: Body | None
) -> None:
    trailing = {**USAGE, "usage": used, name: [{"x": 1.0}]}
    setup = await testbed.start(None, stream([chunk({"content": "x"}), chunk({}, "stop"), trailing]))
    received = await setup.stream()
    assert received[1] == {**USAGE, "model": received[0]["model"], name: [{"x": 1.0}]}
    assert (with_metadata(received), len(received)) == ([2], 4)


@pytest.mark.parametrize(
    "fields", [{"usage": {}}, {"usage": usage(), "timings": None, "citations": []}, {"x_groq": {"usage": usage()}}]
)
async def test_a_chunk_with_only_the_usage_does_not_reach_a_client_that_requested_no_usage(
    testbed: Testbed, fields: Body
) -> None:
    setup = await testbed.start(None, stream([chunk({"content": "x"}), chunk({}, "stop"), {**USAGE, **fields}]))
    assert len(await setup.stream()) == 3


DAMAGED = [b"[done]", b"{not json", b'{"choices":[{"delta":{"content":"4"\xff}}]}', b"[1,"]


@pytest.mark.parametrize("damaged", DAMAGED)
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_damaged_event_after_the_end_of_every_choice_is_ignored(
    testbed: Testbed, damaged: bytes, at_once: bool, streamed: bool
) -> None:
    *pieces, end, used = map(event, chunks("whole", used=usage(3, 4)))
    parts = [*pieces, end, event(damaged), used, event(damaged)]
    setup = await testbed.start(None, cut_after([b"".join(parts)] if at_once else parts, Exchange.end), None)
    if streamed:
        received = await setup.stream(model="alpha")
        assert (streamed_text(received), received[-1]) == ("whole", "[DONE]")
        metadata = received[-2]["router_metadata"]
    else:
        body = await setup.answer(model="alpha")
        assert body["choices"][0]["message"]["content"] == "whole"
        metadata = body["router_metadata"]
    (entry,) = metadata["call_history"]
    assert (entry["status"], entry["tokens_used"]) == ("ok", 7)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_damaged_event_before_the_end_of_the_last_choice_is_a_failure(testbed: Testbed, streamed: bool) -> None:
    pieces = [chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({}, "stop"), b"[done]"]
    setup = await testbed.start(None, stream([*pieces, chunk({}, "stop", 1)]))
    response = await setup.send(stream=streamed, n=2)
    error = events(response.content)[-1] if streamed else response.json()
    assert error["error"]["code"] == ("stream_cut" if streamed else "upstream_error")


async def test_several_choices_are_relayed_in_one_stream(testbed: Testbed) -> None:
    pieces = [chunk({"content": "a"}, index=0), chunk({"content": "b"}, index=1), chunk({}, "stop", 0),
              chunk({"content": "b"}, index=1), chunk({}, "length", 1), {**USAGE, "usage": usage()}]  # fmt: skip
    setup = await testbed.start(None, stream(pieces))
    received = await setup.stream(n=2)
    assert (streamed_text(received, 0), streamed_text(received, 1)) == ("a", "bb")
    (position,) = with_metadata(received)
    assert received[position]["choices"][0] == {"index": 1, "delta": {}, "finish_reason": "length"}
    assert [choice["finish_reason"] for each in received[:-1] for choice in each["choices"]].count("stop") == 1


async def test_a_stream_that_ends_before_all_choices_is_cut(testbed: Testbed) -> None:
    pieces = [chunk({"content": "a"}, index=0), chunk({"content": "b"}, index=1), chunk({}, "stop", 0)]
    setup = await testbed.start(None, stream(pieces, done=False))
    received = await setup.stream(n=2)
    assert "error" in received[-1]


async def test_tool_call_ids_in_chunks_contain_the_affinity(testbed: Testbed) -> None:
    first = {"index": 0, "id": "call_abc", "type": "function", "function": {"name": "clock", "arguments": ""}}
    second = {"index": 0, "function": {"arguments": '{"zone": 1.0}'}}
    pieces = [chunk({"role": "assistant", "content": None, "tool_calls": [first]}), chunk({"tool_calls": [second]}),
              chunk({}, "tool_calls")]  # fmt: skip
    setup = await testbed.start(None, stream(pieces), None)
    received = await setup.stream(tools=[{"type": "function", "function": {"name": "clock"}}])
    tool_call = received[0]["choices"][0]["delta"]["tool_calls"][0]
    assert tool_call["id"].startswith("call_abc_rr")
    assert {**tool_call, "id": "call_abc"} == first
    assert received[1]["choices"][0]["delta"]["tool_calls"] == [second]

    answered = [{"role": "assistant", "tool_calls": [{**first, "id": tool_call["id"]}]},
                {"role": "tool", "tool_call_id": tool_call["id"], "content": "noon"}]  # fmt: skip
    *_, last, _ = await setup.stream(messages=[*QUESTION, *answered])
    assert last["router_metadata"]["routing_strategy"] == "pinned"


async def test_the_metadata_of_a_target_that_is_a_router_is_replaced(testbed: Testbed) -> None:
    end = {**chunk({}, "stop"), "router_metadata": {"model_used": "theirs"}}
    setup = await testbed.start(None, stream([chunk({"content": "x"}), end]))
    data = await raw(setup)
    assert data.count(b'"router_metadata"') == 1
    assert events(data)[-2]["router_metadata"]["model_used"] == "alpha"


# Review and replay.


async def test_a_stream_that_is_sent_after_its_review_has_the_bytes_of_the_target(testbed: Testbed) -> None:
    pieces = [ODD, b'{"model":"upstream-model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}']
    both = decision("call_alpha", "call_beta")
    setup = await testbed.start(in_turn(both, select("alpha")), stream(pieces), text("b"))
    data = await raw(setup)
    assert data.split(b"\n\n")[0] == b"data: " + ODD.replace(b'"upstream-model"', b'"router-tool-rl"')
    last = events(data)[-2]
    assert last["router_metadata"]["routing_strategy"] == "select_response"
    assert [entry["response"] for entry in last["router_metadata"]["call_history"]] == ["é é", "b"]


async def test_the_response_of_a_relayed_stream_is_null(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    *_, last, _ = await setup.stream()
    assert last["router_metadata"]["call_history"][0]["response"] is None


async def test_if_a_stream_is_cut_before_its_review_another_answer_is_sent(testbed: Testbed) -> None:
    both = decision("call_alpha", "call_beta")
    cut = cut_after([HALF], reset)
    setup = await testbed.start(in_turn(both, select("call_2")), cut, text("b"))
    received = await setup.stream()
    assert (streamed_text(received), received[-1]) == ("b", "[DONE]")


async def test_if_a_target_fails_before_the_first_byte_of_a_stream_another_is_called(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(401, "no key"), text("b"))
    received = await setup.stream()
    assert (streamed_text(received), received[-1]) == ("b", "[DONE]")
    assert [entry["status"] for entry in received[-2]["router_metadata"]["call_history"]] == ["error", "ok"]


@pytest.mark.parametrize("fault", [reset, Exchange.end])
@pytest.mark.parametrize("count", [1, 99, 100, 2_000])
async def test_if_a_target_fails_before_the_first_content_of_a_stream_another_is_called(
    testbed: Testbed, count: int, fault: Any
) -> None:
    cut = cut_after([event(chunk({"role": "assistant", "content": ""})), event(chunk({})) * (count - 1)], fault)
    setup = await testbed.start(None, cut, text("b"))
    received = await setup.stream()
    assert (streamed_text(received), received[-1]) == ("b", "[DONE]")


async def test_chunks_before_the_first_content_of_a_stream_are_relayed(testbed: Testbed) -> None:
    answer = stream([chunk({"role": "assistant", "content": ""})] + [chunk({})] * 200 + chunks("a")[1:])
    setup = await testbed.start(None, answer)
    received = await setup.stream()
    assert (streamed_text(received), received[-1]) == ("a", "[DONE]")
    assert len(received) == 204


async def test_a_stream_begins_after_a_mebibyte_of_chunks_without_content(testbed: Testbed) -> None:
    piece = event({**chunk({}), "padding": "x" * 64 * 1024})
    setup = await testbed.start(None, cut_after([piece] * 17, reset), text("b"))
    response = await setup.send(stream=True)
    assert response.status_code == 200
    assert len(events(response.content)) > 16
    assert not setup.beta.requests


@pytest.mark.parametrize("requested", [False, True])
async def test_a_direct_answer_is_streamed(testbed: Testbed, requested: bool) -> None:
    setup = await testbed.start(in_turn(reply("Hello!")), None, None)
    received = await setup.stream(stream_options={"include_usage": requested})
    assert (streamed_text(received), received[-1]) == ("Hello!", "[DONE]")
    assert received[-2]["router_metadata"]["routing_strategy"] == "direct_response"
    assert {each["model"] for each in received[:-1]} == {"router-tool-rl"}
    assert {each["object"] for each in received[:-1]} == {"chat.completion.chunk"}
    assert with_metadata(received) == [len(received) - 2]
    assert (received[-2].get("usage") == usage(100, 20)) is requested


# Cut streams.


CUTS = {
    "a reset": cut_after([HALF], reset),
    "an end": cut_after([HALF], Exchange.end),
    "silence": cut_after([HALF], Exchange.until_dropped),
    "an error event": half_then_data(event({"error": {"message": "overloaded", "code": 529}})),
    "invalid JSON": half_then_data(event(b"{not json")),
    "invalid UTF-8 outside a text": half_then_data(event(b'{"choices":[{"delta":{"content":"4"\xff}}]}')),
    "an error event without a field error": half_then_data(b'event: error\ndata: {"code":"x","message":"m"}\n\n'),
    "an error with a detail": half_then_data(event({"detail": "m"})),
    "an error with a detail and a reset": cut_after([HALF, event({"detail": "m"})], reset),
    "an error with a detail and a [DONE]": half_then_data(event({"detail": "m"}) + event(b"[DONE]")),
    "an error of Cloudflare and a [DONE]": half_then_data(event({"errors": [{"message": "m"}]}) + event(b"[DONE]")),
    "a text about an error and a [DONE]": half_then_data(event(b"Error: upstream connect error") + event(b"[DONE]")),
    "an error in a choice": half_then_data(event({"choices": [{"delta": {"content": ""}, "error": {"message": "m"}}]})),
    "an error of Groq": half_then_data(event({**chunk({}), "x_groq": {"error": "over_capacity"}})),
    "an error line of llama.cpp": half_then_data(b'error: {"code":500,"message":"m"}\n\n'),
    "an error in a list": half_then_data(event(b'[{"error":{"message":"m","code":400}}]')),
}


@pytest.mark.parametrize("cut", CUTS)
async def test_a_cut_stream_ends_with_an_error_event_without_done(testbed: Testbed, cut: str) -> None:
    setup = await testbed.start(None, CUTS[cut], None)
    received = await setup.stream()
    assert streamed_text(received[:-1]) == "half"
    assert received[-1].keys() == {"error", "router_metadata"}
    assert received[-1]["error"].keys() == {"message", "type", "param", "code"}
    (entry,) = received[-1]["router_metadata"]["call_history"]
    assert entry["status"] == ("timeout" if cut == "silence" else "error")
    assert entry["usage"]["completion_tokens"] == 1
    assert entry["cost"] > 0
    assert not setup.beta.requests


TIERED = {"input": 1, "cached_input": 0.1, "output": 10, "service_tiers": {"flex": {"input": 0.5, "output": 5}}}
FLEX = {"service_tier": "flex"}
BEGUN = chunk({"content": "half"})
SPLIT = [{**BEGUN, "usage": {"prompt_tokens": 100, "completion_tokens": 0}}, chunk({}, "stop"),
         {**USAGE, "usage": {"completion_tokens": 10}}]  # fmt: skip


@pytest.mark.parametrize(
    ("pieces", "dollars"),
    [
        (SPLIT, "0.0002"),
        ([SPLIT[0], SPLIT[1], {**USAGE, "usage": usage(100, 10)}, {**USAGE, "usage": usage(0, 0)}], "0.0002"),
        ([{**BEGUN, **FLEX}, {**SPLIT[1], **FLEX}, {**USAGE, "usage": usage(100, 10)}], "0.0001"),
        ([{**BEGUN, **FLEX}, SPLIT[1], {**USAGE, "usage": usage(100, 10), "service_tier": ""}], "0.0001"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
async def test_the_usage_and_the_service_tier_are_joined_from_all_chunks(
    testbed: Testbed, pieces: list[Body], dollars: str, streamed: bool
) -> None:
    setup = await testbed.start(None, stream(pieces), changes={"alpha": {"price": TIERED}})
    await setup.send(model="alpha", stream=streamed)
    (ledger,) = setup.router.ledgers
    assert (str(ledger["total_cost"]), "estimated" in ledger["call_history"][0]) == (dollars, False)


CACHED = usage(1000, 0, prompt_tokens_details={"cached_tokens": 900})


@pytest.mark.parametrize(
    ("pieces", "dollars"),
    [
        ([{**chunk({"content": "x" * 40}), "usage": CACHED}], "0.00029"),
        ([{**BEGUN, "usage": usage(100, 1)}, chunk({"content": "x" * 3996})], "0.0101"),
        ([{**BEGUN, "usage": usage(100, 1), **FLEX}, chunk({"content": "x" * 3996})], "0.00505"),
        ([{**USAGE, "usage": usage(100, 1)}, {**BEGUN, **FLEX}, chunk({"content": "x" * 3996})], "0.00505"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_cut_stream_costs_the_larger_of_the_reported_and_the_estimated_output(
    testbed: Testbed, pieces: list[Body], dollars: str, streamed: bool
) -> None:
    setup = await testbed.start(
        None, cut_after(list(map(event, pieces)), Exchange.end), changes={"alpha": {"price": TIERED}}
    )
    await setup.send(model="alpha", stream=streamed)
    (ledger,) = setup.router.ledgers
    (entry,) = ledger["call_history"]
    assert (str(entry["cost"]), entry["estimated"]) == (dollars, True)


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_error_in_a_stream_costs_the_usage_that_was_reported_before(testbed: Testbed, streamed: bool) -> None:
    reported = {**BEGUN, "usage": usage(100, 10), **FLEX}
    pieces = [reported, {"error": {"message": "overloaded", "code": 529}}]
    setup = await testbed.start(None, stream(pieces), changes={"alpha": {"price": TIERED}})
    await setup.send(model="alpha", stream=streamed)
    (ledger,) = setup.router.ledgers
    (entry,) = ledger["call_history"]
    assert (str(entry["cost"]), entry["status"], "estimated" in entry) == ("0.0001", "error", False)


async def test_a_stream_without_done_is_complete_if_every_choice_has_ended(testbed: Testbed) -> None:
    setup = await testbed.start(None, stream(chunks("whole"), done=False))
    received = await setup.stream()
    assert (streamed_text(received), received[-1]) == ("whole", "[DONE]")


async def test_the_deadline_cuts_a_running_stream(testbed: Testbed) -> None:
    begins = cut_after([HALF], Exchange.until_dropped)
    setup = await testbed.start(None, begins, changes={"alpha": {"timeout": 30}})
    received = await setup.stream(router={"deadline_ms": 200})
    assert streamed_text(received[:-1]) == "half"
    assert received[-1]["error"]["code"] == "deadline_exceeded"
    (entry,) = received[-1]["router_metadata"]["call_history"]
    assert (entry["status"], entry["estimated"]) == ("cancelled", True)


# Pings.


async def test_during_a_long_silence_comments_are_sent(testbed: Testbed) -> None:
    pinged = asyncio.Event()
    setup = await testbed.start(
        None, after(pinged, text("late")), server={"ping_after": 0.05}, changes={"alpha": {"timeout": 30}}
    )
    body = {"model": "router", "messages": QUESTION, "stream": True}
    data = b""
    async with setup.client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        async for piece in response.aiter_raw():
            data += piece
            pinged.set()
    assert data.startswith(b": ")
    assert streamed_text(events(data)) == "late"
    assert data.endswith(b"data: [DONE]\n\n")


async def test_a_failure_after_a_ping_is_an_error_event(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, server={"ping_after": 0.05})
    response = await setup.send(stream=True)
    assert response.status_code == 200
    assert response.content.startswith(b": ")
    (only,) = events(response.content)
    assert only.keys() == {"error", "router_metadata"}
    assert b"[DONE]" not in response.content


# Clients that disconnect, and slow clients.


async def test_if_the_client_disconnects_during_a_stream_its_call_is_cancelled_and_recorded(testbed: Testbed) -> None:
    begins = cut_after([HALF], Exchange.until_dropped)
    setup = await testbed.start(None, begins, changes={"alpha": {"timeout": 30}})
    body = {"model": "router", "messages": QUESTION, "stream": True}
    async with setup.client.stream("POST", "/v1/chat/completions", json=body) as response:
        async for _ in response.aiter_raw():
            break
    await until(lambda: setup.alpha.requests[0].dropped, "the end of the call", within=1)
    await until(lambda: setup.router.ledgers, "the ledger")
    (ledger,) = setup.router.ledgers
    (entry,) = ledger["call_history"]
    assert (entry["status"], entry["estimated"]) == ("cancelled", True)
    assert entry["usage"]["completion_tokens"] == 1
    assert ledger["total_cost"] == entry["cost"] > 0


async def test_the_buffer_for_a_slow_client_is_limited(testbed: Testbed) -> None:
    part = event(chunk({"content": "x" * 65_000}))
    total = 2_000 * len(part)

    async def endless(exchange: Exchange) -> None:
        await exchange.head("text/event-stream")
        for _ in range(2_000):
            await exchange.piece(part)

    setup = await testbed.start(None, endless, changes={"alpha": {"timeout": 30}})
    url = setup.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
    body = json.dumps({"model": "router", "messages": QUESTION, "stream": True})
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
    writer.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    await reader.readuntil(b"\r\n\r\n")
    # Nothing more is read, so the target must stop sending.
    (request,) = setup.alpha.requests
    sent = -1
    while sent != request.sent:
        sent = request.sent
        await asyncio.sleep(0.3)
    assert sent < total / 4
    writer.transport.abort()
    await until(lambda: request.dropped, "the end of the call")


async def test_the_metadata_and_the_log_of_a_stream_have_the_same_costs(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    *_, last, _ = await setup.stream()
    (ledger,) = setup.router.ledgers

    def costs(metadata: Body) -> list[Any]:
        entries = [*metadata["call_history"], *metadata["router_calls"]]
        return [metadata["total_cost"], [(each["cost"], each["usage"], each["status"]) for each in entries]]

    assert costs(ledger) == costs(exact(json.dumps(last["router_metadata"], default=float)))


async def test_chunks_before_a_broken_event_in_the_same_bytes_reach_the_client(testbed: Testbed) -> None:
    whole_pieces = [event(piece) for piece in chunks("Once ", "upon")[:3]]

    async def answer(exchange: Exchange) -> None:
        await exchange.head("text/event-stream")
        await exchange.piece(b"".join([*whole_pieces, b"data: {broken\n\n"]))
        await exchange.end()

    setup = await testbed.start(None, answer, None)
    received = await setup.stream(model="alpha")
    texts = [each["delta"].get("content") for chunk in received if "choices" in chunk for each in chunk["choices"]]
    assert "".join(text or "" for text in texts) == "Once upon"
    assert received[-1]["error"]["code"] == "stream_cut"
    assert "[DONE]" not in received


async def test_a_reviewed_stream_has_the_same_maximum_size_as_a_completion(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_router_api.upstreams.stream.MAX_ANSWER", 20_000)
    endless = stream([*chunks(*["many words " * 20] * 400)])
    setup = await testbed.start(None, endless, text("short"), routing={"review": "always"})
    received = await setup.stream()
    metadata = next(each["router_metadata"] for each in received if "router_metadata" in each)
    assert [(call["model_id"], call["status"]) for call in metadata["call_history"]] == [
        ("alpha", "error"),
        ("beta", "ok"),
    ]
