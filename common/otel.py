"""OpenTelemetry's SDK behind `common.tracing`; imported only where an endpoint for spans is set."""

import os
import threading
from dataclasses import replace
from functools import partial
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common.build import release
from common.tracing import Kind, Span, Value
from common.trail import Trail

_LAST_SECONDS: Final = 3.0
"""For how long the end waits for the last spans to be taken."""


class OpenTelemetry:
    """Sends spans in batches, from a thread of its own; while nobody takes them they are dropped."""

    def __init__(self, service: str) -> None:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service}
        self._provider = TracerProvider(resource=Resource.create({**named, SERVICE_VERSION: release()}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("billing-service", release())
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, trail: Trail, name: str, kind: Kind, attributes: dict[str, Value]) -> Span:
        """A span whose parent `trail` names; without one it begins a trace."""
        parent = Context()
        if trail.traceparent is not None:
            parent = self._propagator.extract({"traceparent": trail.traceparent}, parent)
        span = self._tracer.start_span(name, parent, SpanKind[kind.value], attributes)
        context = span.get_span_context()
        written = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        return Span(replace(trail, traceparent=written), span.set_attribute, partial(_end, span))

    def close(self) -> None:
        """Send what was not sent yet, for a moment: nobody waits long for a collector that is away."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(_LAST_SECONDS)


def _end(span: trace.Span, error: BaseException | None) -> None:
    if error is not None:
        # Its kind only: the words of an error may hold what is nobody's business.
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
    span.end()
