"""Writes OpenTelemetry traces with a span for each request and each attempt.

The attributes `gen_ai.*` follow OpenTelemetry's GenAI conventions. The spans are written from the ledger after a
request ends, so tracing does not slow the request down. Traces require the package extra `otel`. OpenTelemetry's
environment variables, such as OTEL_EXPORTER_OTLP_ENDPOINT, configure the receiver of the traces.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from ..version import __version__
from .ledger import Entry, Ledger
from .log import log
from .recorders import EndedRequest

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Traces:
    """Writes the spans of each request to an OpenTelemetry tracer provider."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("rl_router_api", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def record(self, request: EndedRequest) -> None:
        """Writes the spans of a request. If the client sent a valid header `traceparent`, the span of the whole request
        is a child of the client's span."""
        ledger = request.ledger
        # The offset converts monotonic times to seconds of the wall clock.
        offset = time.time() - time.monotonic()
        span = self._tracer.start_span(
            "chat router",
            context=self._propagator.extract({"traceparent": ledger.traceparent} if ledger.traceparent else {}),
            kind=self._trace.SpanKind.SERVER,
            start_time=int((ledger.started + offset) * 1e9),
            attributes=_attributes(ledger, request.status),
        )
        if request.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        inside = self._trace.set_span_in_context(span)
        for hop, entries in (("decide", ledger.router_calls), ("call", ledger.target_calls)):
            for entry in entries:
                self._write_call(entry, hop, inside, offset)
        span.end(int((ledger.started + ledger.total_time + offset) * 1e9))

    def _write_call(self, entry: Entry, hop: str, inside: object, offset: float) -> None:
        usage = entry.read_usage
        span = self._tracer.start_span(
            f"{hop} {entry.model_id}",
            context=inside,  # type: ignore[arg-type]
            kind=self._trace.SpanKind.CLIENT,
            start_time=int((entry.started + offset) * 1e9),
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": entry.model_id,
                "gen_ai.usage.input_tokens": usage.input if usage else 0,
                "gen_ai.usage.output_tokens": usage.output if usage else 0,
                "rl_router.hop": hop,
                "rl_router.call_id": entry.call_id,
                "rl_router.cost": float(entry.cost),
                "rl_router.selected": entry.selected,
            },
        )
        if entry.status != "ok":
            span.set_attribute("error.type", entry.status or "cancelled")
            span.set_status(self._trace.StatusCode.ERROR, entry.error)
        span.end(int((entry.started + entry.latency + offset) * 1e9))

    def close(self) -> None:
        """Sends the remaining spans to the receiver of the traces, and shuts the tracer provider down."""
        self._provider.shutdown()


def _attributes(ledger: Ledger, status: int) -> dict[str, str | int | float]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.model": ledger.model_used or "",
        "http.response.status_code": status,
        "rl_router.request_id": ledger.request_id,
        "rl_router.routing_strategy": ledger.strategy or "",
        "rl_router.turns_used": ledger.turns,
        "rl_router.total_cost": float(ledger.router_cost + ledger.target_cost),
    }


def from_environment() -> Traces | None:
    """Returns a recorder of traces, or None if no receiver is configured or the package extra `otel` is missing.

    A receiver of traces is configured if an environment variable in `_VARIABLES` is not empty. If a receiver is
    configured but the package extra `otel` is missing, the function logs a warning.
    """
    if not any(os.environ.get(name) for name in _VARIABLES):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        message = (
            "no traces are written: OpenTelemetry's packages are missing. Install opentelemetry-sdk and"
            " opentelemetry-exporter-otlp-proto-http in the server's Python environment"
        )
        log(logging.WARNING, message)
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": "rl-router"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider)
