"""Traces leave by OTLP for wherever OpenTelemetry's own variables say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until

CLIENT_TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """A real OTLP receiver that keeps the spans it was sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    async def take(self, request: web.Request) -> web.Response:
        export = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [
            span for resource in export.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        return web.Response()

    def named(self, name: str) -> Any:
        return next(span for span in self.spans if span.name == name)


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    yield made
    await runner.cleanup()


async def test_a_routed_request_is_a_span_with_a_span_for_each_hop_below_the_clients_own(
    collector: Collector, testbed: Testbed
) -> None:
    setup = await testbed.start(None, None, None)
    body = {"model": "router", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"traceparent": f"00-{CLIENT_TRACE}-b7ad6b7169203331-01"}
    answer = (await setup.client.post("/v1/chat/completions", json=body, headers=headers)).json()["router_metadata"]
    await until(lambda: any(span.name == "chat router" for span in collector.spans), "the request's span")

    whole = collector.named("chat router")
    assert whole.trace_id.hex() == CLIENT_TRACE
    assert attributes(whole)["rl_router.request_id"] == answer["request_id"]
    call = collector.named(f"call {answer['model_used']}")
    decision = collector.named("decide the-router")
    assert call.parent_span_id == decision.parent_span_id == whole.span_id
    assert attributes(call)["gen_ai.request.model"] == answer["model_used"]
    assert attributes(call)["gen_ai.usage.output_tokens"] == answer["call_history"][0]["usage"]["completion_tokens"]


async def test_no_text_of_a_request_or_an_answer_is_in_a_trace(collector: Collector, testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    await setup.answer(messages=[{"role": "user", "content": "a very private question"}])
    await until(lambda: collector.spans, "a span")
    assert "private" not in str(collector.spans)
