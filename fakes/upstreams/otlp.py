"""An OpenTelemetry collector that keeps spans in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """A collector that receives traces via OTLP over HTTP. The attribute `url` is the URL of the collector."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Any] = []

    async def receive(self, request: web.Request) -> web.Response:
        export = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [
            span for resource in export.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        return web.Response()

    def named(self, name: str) -> Any:
        """Returns the first span with the name `name`. Raises StopIteration if no span has the name `name`."""
        return next(span for span in self.spans if span.name == name)


def attributes(span: Any) -> dict[str, Any]:
    """Returns a mapping from the name of each attribute of a span to the value of the attribute."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    """Runs an OpenTelemetry collector on this machine and yields the collector."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield collector
    await runner.cleanup()
