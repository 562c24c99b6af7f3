"""Streams, byte by byte and event by event."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import events, exact
from fakes.testbed.router import Setup, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import in_turn, stream, text
from fakes.upstreams.bodies import chunk, chunks, decision, encoded, event, reply, select, usage
from fakes.upstreams.exchange import Answer, Body, Exchange
from fakes.upstreams.faults import cut_after, error, hang, reset

USAGE = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "upstream-model", "choices": []}
ODD = b'{ "id":"c1","model" : "upstream-model","x_unknown":1.0,"choices":[{"index":0,"delta":{"content":"\\u00e9 \xc3\xa9"},"finish_reason":null}],"big":123456789012345678901234567890 }'  # noqa: E501


def words(found: list[Any], index: int = 0) -> str:
    """The text of one choice."""
    choices = [choice for each in found if each != "[DONE]" for choice in each["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def bearing(found: list[Any]) -> list[int]:
    """Where the metadata is."""
    return [place for place, each in enumerate(found) if "router_metadata" in each]


async def raw(setup: Setup, **fields: Any) -> bytes:
    return (await setup.send(stream=True, **fields)).content


# Fidelity.


async def test_chunks_are_relayed_as_they_are_but_for_the_models_name(testbed: Testbed) -> None:
    pieces = [ODD, b'{"model":"upstream-model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}']
    setup = await testbed.start(None, stream(pieces))
    first, last, done, _ = (await raw(setup)).split(b"\n\n")
    assert first == b"data: " + ODD.replace(b'"upstream-model"', b'"router-tool-rl"')
    assert last.startswith(b'data: {"model":"router-tool-rl","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]')
    assert done == b"data: [DONE]"


async def test_a_text_that_speaks_of_models_is_left_alone(testbed: Testbed) -> None:
    said = chunk({"content": '"model":"upstream-model" is its name'})
    setup = await testbed.start(None, stream([reply, chunk({}, "stop")]))
    assert words(await setup.stream()) == '"model":"upstream-model" is its name'


@pytest.mark.parametrize("model", [b"", b'"model":"\\u0061lpha",'], ids=["no name", "a name written otherwise"])
async def test_many_chunks_that_come_at_once_may_hold_no_name_to_change(testbed: Testbed, model: bytes) -> None:
    piece = b'{%b"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}' % model
    end = piece.replace(b"null", b'"stop"')
    setup = await testbed.start(None, stream([piece] * 5_000 + [end]))
    assert words(await setup.stream()) == "a" * 5_001


@pytest.mark.parametrize("ending", ["\r\n\r\n", "\n\n"])
async def test_events_are_read_however_they_are_cut_and_ended(testbed: Testbed, ending: str) -> None:
    data = b"".join(map(event, [*chunks("été", " ✓"), b"[DONE]"])).replace(b"\n\n", ending.encode())
    data = b": a comment" + ending.encode() + b"event: message\ndata: " + data.removeprefix(b"data: ")
    setup = await testbed.start(None, cut_after([bytes([byte]) for byte in data], Exchange.end))
    found = await setup.stream()
    assert words(found) == "été ✓"
    assert found[-1] == "[DONE]"


async def test_the_headers_of_a_stream(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    response = await setup.send(stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in response.headers


# Usage and metadata.


async def test_a_target_is_always_asked_for_usage_but_only_a_client_that_asked_sees_it(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    found = await setup.stream()
    assert setup.alpha.bodies[0]["stream_options"] == {"include_usage": True}
    assert not any("usage" in each for each in found)
    assert all(each["choices"] for each in found[:-1])


async def test_without_usage_the_metadata_rides_on_the_last_chunk_with_a_finish_reason(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    found = await setup.stream()
    assert bearing(found) == [len(found) - 2]
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    assert found[-2]["router_metadata"]["call_history"][0]["usage"] == usage()


async def test_where_usage_was_asked_for_the_metadata_rides_on_its_chunk(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    found = await setup.stream(stream_options={"include_usage": True, "include_obfuscation": False})
    assert setup.alpha.bodies[0]["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert bearing(found) == [len(found) - 2]
    assert (found[-2]["choices"], found[-2]["usage"]) == ([], usage())


@pytest.mark.parametrize("asked", [False, True])
async def test_a_usage_beside_the_last_choice_needs_no_chunk_of_its_own(testbed: Testbed, asked: bool) -> None:
    end = {**chunk({}, "stop"), "usage": usage(3, 4)}
    setup = await testbed.start(None, stream([chunk({"content": "x"}), end]))
    found = await setup.stream(stream_options={"include_usage": asked})
    assert bearing(found) == [len(found) - 2]
    assert ("usage" in found[-2]) is asked
    assert found[-2]["router_metadata"]["call_history"][0]["tokens_used"] == 7
    assert all(each["choices"] for each in found[:-1])


async def test_no_chunk_with_empty_choices_is_added_where_a_target_reports_no_usage(testbed: Testbed) -> None:
    setup = await testbed.start(None, stream([chunk({"content": "x" * 40}), chunk({}, "stop")]))
    found = await setup.stream(stream_options={"include_usage": True})
    assert len(found) == 3
    assert bearing(found) == [1]
    assert found[1]["router_metadata"]["call_history"][0]["estimated"] is True


async def test_a_chunk_behind_the_finish_reason_does_not_take_the_metadata_from_it(testbed: Testbed) -> None:
    trailing = {**USAGE, "x_filter": "clean"}
    setup = await testbed.start(None, stream([chunk({"content": "x"}), chunk({}, "stop"), trailing]))
    found = await setup.stream()
    (place,) = bearing(found)
    assert found[place]["choices"][0]["finish_reason"] == "stop"
    assert len(found) == 4


async def test_a_chunk_with_empty_choices_of_the_targets_own_is_relayed(testbed: Testbed) -> None:
    filtered = {**USAGE, "prompt_filter_results": [{"prompt_index": 0}]}
    setup = await testbed.start(None, stream([filtered, chunk({"content": "x"}), chunk({}, "stop")]))
    found = await setup.stream()
    assert found[0]["prompt_filter_results"] == [{"prompt_index": 0}]
    assert len(found) == 4


async def test_several_choices_are_one_stream(testbed: Testbed) -> None:
    pieces = [chunk({"content": "a"}, index=0), chunk({"content": "b"}, index=1), chunk({}, "stop", 0),
              chunk({"content": "b"}, index=1), chunk({}, "length", 1), {**USAGE, "usage": usage()}]  # fmt: skip
    setup = await testbed.start(None, stream(pieces))
    found = await setup.stream(n=2)
    assert (words(found, 0), words(found, 1)) == ("a", "bb")
    (place,) = bearing(found)
    assert found[place]["choices"][0] == {"index": 1, "delta": {}, "finish_reason": "length"}
    assert [choice["finish_reason"] for each in found[:-1] for choice in each["choices"]].count("stop") == 1


async def test_a_stream_of_several_choices_that_ends_after_one_is_cut(testbed: Testbed) -> None:
    pieces = [chunk({"content": "a"}, index=0), chunk({"content": "b"}, index=1), chunk({}, "stop", 0)]
    setup = await testbed.start(None, stream(pieces, done=False))
    found = await setup.stream(n=2)
    assert "error" in found[-1]


async def test_tool_call_ids_are_marked_in_the_chunks(testbed: Testbed) -> None:
    first = {"index": 0, "id": "call_abc", "type": "function", "function": {"name": "clock", "arguments": ""}}
    second = {"index": 0, "function": {"arguments": '{"zone": 1.0}'}}
    pieces = [chunk({"role": "assistant", "content": None, "tool_calls": [first]}), chunk({"tool_calls": [second]}),
              chunk({}, "tool_calls")]  # fmt: skip
    setup = await testbed.start(None, stream(pieces), None)
    found = await setup.stream(tools=[{"type": "function", "function": {"name": "clock"}}])
    marked = found[0]["choices"][0]["delta"]["tool_calls"][0]
    assert marked["id"].startswith("call_abc_rr")
    assert {**marked, "id": "call_abc"} == first
    assert found[1]["choices"][0]["delta"]["tool_calls"] == [second]

    answered = [{"role": "assistant", "tool_calls": [{**first, "id": marked["id"]}]},
                {"role": "tool", "tool_call_id": marked["id"], "content": "noon"}]  # fmt: skip
    *_, last, _ = await setup.stream(messages=[*QUESTION, *answered])
    assert last["router_metadata"]["routing_strategy"] == "pinned"


async def test_the_metadata_of_a_target_that_is_a_router_gives_way(testbed: Testbed) -> None:
    end = {**chunk({}, "stop"), "router_metadata": {"model_used": "theirs"}}
    setup = await testbed.start(None, stream([chunk({"content": "x"}), end]))
    data = await raw(setup)
    assert data.count(b'"router_metadata"') == 1
    assert events(data)[-2]["router_metadata"]["model_used"] == "alpha"


# Review and replay.


async def test_a_replayed_stream_is_what_the_target_sent(testbed: Testbed) -> None:
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


async def test_a_stream_cut_before_its_review_costs_the_client_nothing(testbed: Testbed) -> None:
    both = decision("call_alpha", "call_beta")
    cut = cut_after([event(chunk({"content": "half"}))], reset)
    setup = await testbed.start(in_turn(both, select("call_2")), cut, text("b"))
    found = await setup.stream()
    assert (words(found), found[-1]) == ("b", "[DONE]")


async def test_a_stream_whose_target_fails_before_its_first_byte_goes_to_another(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(500, "down"), text("b"))
    found = await setup.stream()
    assert (words(found), found[-1]) == ("b", "[DONE]")
    assert [entry["status"] for entry in found[-2]["router_metadata"]["call_history"]] == ["error", "ok"]


@pytest.mark.parametrize("asked", [False, True])
async def test_a_direct_answer_is_streamed(testbed: Testbed, asked: bool) -> None:
    setup = await testbed.start(in_turn(reply("Hello!")), None, None)
    found = await setup.stream(stream_options={"include_usage": asked})
    assert (words(found), found[-1]) == ("Hello!", "[DONE]")
    assert found[-2]["router_metadata"]["routing_strategy"] == "direct_response"
    assert {each["model"] for each in found[:-1]} == {"router-tool-rl"}
    assert {each["object"] for each in found[:-1]} == {"chat.completion.chunk"}
    assert bearing(found) == [len(found) - 2]
    assert (found[-2].get("usage") == usage(100, 20)) is asked


# Cut streams.


def half_then(data: bytes) -> Answer:
    """Half an answer, and once that is on its way an event that is no chunk."""

    async def end(exchange: Exchange) -> None:
        await exchange.piece(event(data))
        await exchange.end()

    return cut_after([event(chunk({"content": "half"}))], end)


CUTS = {
    "a reset": cut_after([event(chunk({"content": "half"}))], reset),
    "an end": cut_after([event(chunk({"content": "half"}))], Exchange.end),
    "silence": cut_after([event(chunk({"content": "half"}))], Exchange.until_dropped),
    "an error event": half_then(encoded({"error": {"message": "overloaded", "code": 529}})),
    "no chunk": half_then(b"{not json"),
    "invalid UTF-8": half_then(b'{"choices":[{"delta":{"content":"\xff"}}]}'),
}


@pytest.mark.parametrize("how", CUTS)
async def test_a_cut_stream_ends_in_an_error_event_without_done(testbed: Testbed, how: str) -> None:
    setup = await testbed.start(None, CUTS[how], None)
    found = await setup.stream()
    assert words(found[:-1]) == "half"
    assert found[-1].keys() == {"error", "router_metadata"}
    assert found[-1]["error"].keys() == {"message", "type", "param", "code"}
    (entry,) = found[-1]["router_metadata"]["call_history"]
    assert entry["status"] == ("timeout" if how == "silence" else "error")
    assert entry["usage"]["completion_tokens"] == 1
    assert entry["cost"] > 0
    assert not setup.beta.requests


async def test_an_end_without_done_is_whole_where_every_choice_has_ended(testbed: Testbed) -> None:
    setup = await testbed.start(None, stream(chunks("whole"), done=False))
    found = await setup.stream()
    assert (words(found), found[-1]) == ("whole", "[DONE]")


async def test_the_deadline_cuts_a_running_stream(testbed: Testbed) -> None:
    begins = cut_after([event(chunk({"content": "half"}))], Exchange.until_dropped)
    setup = await testbed.start(None, begins, changes={"alpha": {"timeout": 30}})
    found = await setup.stream(router={"deadline_ms": 200})
    assert words(found[:-1]) == "half"
    assert found[-1]["error"]["code"] == "deadline_exceeded"
    (entry,) = found[-1]["router_metadata"]["call_history"]
    assert (entry["status"], entry["estimated"]) == ("cancelled", True)


# Pings.


async def test_a_long_silence_is_filled_with_comments(testbed: Testbed) -> None:
    async def slow(exchange: Exchange) -> None:
        await pings_seen.wait()
        await text("late")(exchange)

    pings_seen = asyncio.Event()
    setup = await testbed.start(None, slow, server={"ping_after": 0.05}, changes={"alpha": {"timeout": 30}})
    asked = {"model": "router", "messages": QUESTION, "stream": True}
    data = b""
    async with setup.client.stream("POST", "/v1/chat/completions", json=asked) as response:
        assert response.status_code == 200
        async for piece in response.aiter_raw():
            data += piece
            pings_seen.set()
    assert data.startswith(b": ")
    assert words(events(data)) == "late"
    assert data.endswith(b"data: [DONE]\n\n")


async def test_after_a_ping_a_failure_is_an_error_event(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, server={"ping_after": 0.05})
    response = await setup.send(stream=True)
    assert response.status_code == 200
    assert response.content.startswith(b": ")
    (only,) = events(response.content)
    assert only.keys() == {"error", "router_metadata"}
    assert b"[DONE]" not in response.content


# Clients that go away, and slow ones.


async def test_when_the_client_leaves_a_stream_its_call_is_cancelled_and_booked(testbed: Testbed) -> None:
    begins = cut_after([event(chunk({"content": "half"}))], Exchange.until_dropped)
    setup = await testbed.start(None, begins, changes={"alpha": {"timeout": 30}})
    asked = {"model": "router", "messages": QUESTION, "stream": True}
    async with setup.client.stream("POST", "/v1/chat/completions", json=asked) as response:
        async for _ in response.aiter_raw():
            break
    await until(lambda: setup.alpha.requests[0].dropped, "the end of the call", within=1)
    await until(lambda: setup.router.ledgers, "the ledger")
    (ledger,) = setup.router.ledgers
    (entry,) = ledger["call_history"]
    assert (entry["status"], entry["estimated"]) == ("cancelled", True)
    assert entry["usage"]["completion_tokens"] == 1
    assert ledger["total_cost"] == entry["cost"] > 0


async def test_a_slow_reader_holds_a_bounded_buffer(testbed: Testbed) -> None:
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
    # Nothing more is read: the target must come to a halt.
    (request,) = setup.alpha.requests
    sent = -1
    while sent != request.sent:
        sent = request.sent
        await asyncio.sleep(0.3)
    assert sent < total / 4
    writer.transport.abort()
    await until(lambda: request.dropped, "the end of the call")


async def test_metadata_and_log_of_a_stream_agree(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    *_, last, _ = await setup.stream()
    (ledger,) = setup.router.ledgers

    def books(metadata: Body) -> list[Any]:
        entries = [*metadata["call_history"], *metadata["router_calls"]]
        return [metadata["total_cost"], [(each["cost"], each["usage"], each["status"]) for each in entries]]

    assert books(ledger) == books(exact(json.dumps(last["router_metadata"], default=float)))


async def test_what_came_before_a_broken_event_reaches_the_client_even_in_the_same_bytes(testbed: Testbed) -> None:
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


async def test_a_reviewed_stream_is_bounded_as_a_whole_answer_is(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_router_api.upstreams.stream.MAX_ANSWER", 20_000)
    endless = stream([*chunks(*["many words " * 20] * 400)])
    setup = await testbed.start(None, endless, text("short"), routing={"review": "always"})
    received = await setup.stream()
    metadata = next(event["router_metadata"] for event in received if "router_metadata" in event)
    assert [(call["model_id"], call["status"]) for call in metadata["call_history"]] == [
        ("alpha", "error"),
        ("beta", "ok"),
    ]
