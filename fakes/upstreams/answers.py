"""Contains scripts of upstreams that send valid answers, and functions that combine scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

from fakes.upstreams.bodies import chunks, completion, decision, encoded, event, reply, select
from fakes.upstreams.exchange import Answer, Body, Exchange


def whole(body: object, *, status: int = 200, content_type: str = "application/json", **headers: str) -> Answer:
    """Returns a script that sends the body `body` without streaming, with a header Content-Length."""

    async def answer(exchange: Exchange) -> None:
        data = encoded(body)
        await exchange.head(content_type, status=status, length=len(data), **headers)
        await exchange.send(data)

    return answer


def stream(pieces: Sequence[Body | bytes], *, done: bool = True) -> Answer:
    """Returns a script that sends each piece as an event of a stream, and then the event `[DONE]` if `done` is true."""

    async def answer(exchange: Exchange) -> None:
        await exchange.head("text/event-stream")
        for piece in pieces:
            await exchange.piece(event(piece))
        if done:
            await exchange.piece(event(b"[DONE]"))
        await exchange.end()

    return answer


def text(words: str = "Four.", used: Body | None = None) -> Answer:
    """Returns a script that answers with a text. The script streams the answer if the request asks for a stream."""

    async def answer(exchange: Exchange) -> None:
        script = stream(chunks(words, used=used)) if exchange.streamed else whole(completion(words, used=used))
        await script(exchange)

    return answer


def in_turn(*answers: Answer | Body) -> Answer:
    """Returns a script that uses the next item of `answers` for each request, and repeats the last item.

    Each item of `answers` is a script or the body of a completion.
    """
    left = [answer if callable(answer) else whole(answer) for answer in answers]

    async def answer(exchange: Exchange) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return answer


def by_request(choose: Callable[[Exchange], Answer | Body]) -> Answer:
    """Returns a script that calls `choose` for each request and uses the script or body that `choose` returns."""

    async def answer(exchange: Exchange) -> None:
        chosen = choose(exchange)
        await (chosen if callable(chosen) else whole(chosen))(exchange)

    return answer


def after(gate: asyncio.Event, then: Answer) -> Answer:
    """Returns a script that waits until the event `gate` is set, and then runs the script `then`."""

    async def answer(exchange: Exchange) -> None:
        await gate.wait()
        await then(exchange)

    return answer


def either(whole_answer: Answer, streamed_answer: Answer) -> Answer:
    """Returns a script that uses `streamed_answer` for streamed requests and `whole_answer` for all other requests."""

    async def answer(exchange: Exchange) -> None:
        await (streamed_answer if exchange.streamed else whole_answer)(exchange)

    return answer


def sensible_decision(exchange: Exchange) -> Body:
    """Returns a decision that selects the last completed answer or, if none can be selected, calls the first target."""
    if "response_format" in exchange.body:
        return reply(json.dumps(_by_schema(exchange.body["response_format"]["json_schema"]["schema"])))
    if "select_response" in exchange.offered:
        results = [json.loads(message["content"]) for message in exchange.body["messages"] if message["role"] == "tool"]
        completed = [result["call_id"] for result in results if "answer" in result]
        return select(completed[-1])
    return decision(exchange.offered[0])


def _by_schema(schema: Body) -> Body:
    forms = schema.get("anyOf", [schema])
    names = {name: values for form in forms for name, values in form["properties"].items()}
    name = "select" if "select" in names else "ask"
    values = names[name].get("enum") or [names[name]["const"]]
    return {name: values[-1] if name == "select" else values[0]}


async def well_behaved(exchange: Exchange) -> None:
    """Sends a valid decision if the request asks for a decision, otherwise sends the text answer of a target."""
    by_tools = bool(exchange.offered) and all(name.startswith(("call_", "select_")) for name in exchange.offered)
    by_schema = exchange.body.get("response_format", {}).get("json_schema", {}).get("name") == "decision"
    script = whole(sensible_decision(exchange)) if by_tools or by_schema else text()
    await script(exchange)
