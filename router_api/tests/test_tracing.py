"""Traces are sent by OTLP to the endpoint in OpenTelemetry's environment variables."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.otlp import Collector, attributes, running_collector

CLIENT_TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector to which the router sends its traces."""
    async with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield collector


async def test_a_routed_request_is_a_span_in_the_clients_trace_with_a_child_span_for_each_call(
    collector: Collector, testbed: Testbed
) -> None:
    setup = await testbed.start(None, None, None)
    body = {"model": "router", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"traceparent": f"00-{CLIENT_TRACE}-b7ad6b7169203331-01"}
    answer = (await setup.client.post("/v1/chat/completions", json=body, headers=headers)).json()["router_metadata"]
    await until(lambda: any(span.name == "chat router" for span in collector.spans), "the request's span")

    request = collector.named("chat router")
    assert request.trace_id.hex() == CLIENT_TRACE
    assert attributes(request)["rl_router.request_id"] == answer["request_id"]
    call = collector.named(f"call {answer['model_used']}")
    decision = collector.named("decide the-router")
    assert call.parent_span_id == decision.parent_span_id == request.span_id
    assert attributes(call)["gen_ai.request.model"] == answer["model_used"]
    assert attributes(call)["gen_ai.usage.output_tokens"] == answer["call_history"][0]["usage"]["completion_tokens"]


async def test_a_trace_contains_no_text_of_requests_or_answers(collector: Collector, testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    await setup.answer(messages=[{"role": "user", "content": "a very private question"}])
    await until(lambda: collector.spans, "a span")
    assert "private" not in str(collector.spans)
