"""Traces by OpenTelemetry, sent by OTLP over HTTP. Imported only where they are asked for (`DCHAT_TRACES`).

The `OTEL_*` variables of the standard say where to, how much and under which name; ours are only what they leave out
where they are not set: one request in a hundred, service name `dchat`.

A collector that is away costs nothing but the spans: what waits is bounded (`OTEL_BSP_MAX_QUEUE_SIZE`, 2048), is sent
by a thread of its own, and what does not fit or is not taken is counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
from collections.abc import Mapping, Sequence

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dchat_server import __version__
from dchat_server.logs import Ration
from dchat_server.tracing import MOST_A_SECOND, Span

SHARE = 0.01
"""Of the requests that nobody else has decided about."""
MOST_WAITING = 2048
MOST_LINKS = 8
STOP_S = 1.0
"""How long an end may wait for a collector."""

log = structlog.get_logger("dchat.traces")

_ROOT = Context()


class OtelSpan:
    """Implements `Span`."""

    __slots__ = ("_name", "_span", "context")

    def __init__(self, span: trace.Span, name: str) -> None:
        place = span.get_span_context()
        self._span, self._name = span, name
        self.context = f"00-{place.trace_id:032x}-{place.span_id:016x}-{int(place.trace_flags):02x}"

    @property
    def ids(self) -> Mapping[str, str]:
        return {"trace_id": self.context[3:35], "span_id": self.context[36:52]}

    @property
    def place(self) -> trace.SpanContext:
        return self._span.get_span_context()

    def under(self) -> Context:
        """The context in which other spans are its children."""
        return trace.set_span_in_context(self._span, _ROOT)

    def end(self, *, error: str = "", **facts: str | int) -> None:
        route = facts.pop("route", "")
        if route:
            self._span.update_name(f"{self._name} {route}")
        self._span.set_attributes(
            {_ATTRIBUTES[name]: value for name, value in (facts | {"route": route}).items() if value != ""}
        )
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


_ATTRIBUTES = {
    "route": "http.route",
    "status": "http.response.status_code",
    "request_id": "dchat.request_id",
    "streams": "dchat.streams",
}


class OtelTracing:
    """Implements `Tracing` for the worker of this name."""

    def __init__(self, worker: str, exporter: SpanExporter | None = None) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what it would say, `_Counted` says once
        self._draws = not os.environ.get("OTEL_TRACES_SAMPLER")
        """Whether it is decided here who is recorded: most are not, and are to cost next to nothing."""
        self._ration = Ration(MOST_A_SECOND)
        self._counted = _Counted(exporter or OTLPSpanExporter())
        self._bounded = _Bounded(BatchSpanProcessor(self._counted), self._counted)
        self._provider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON) if self._draws else None, resource=_resource(worker), shutdown_on_exit=False
        )
        self._provider.add_span_processor(self._bounded)
        self._tracer = self._provider.get_tracer("dchat", __version__)
        self._contexts = TraceContextTextMapPropagator()

    def request(self, method: str, traceparent: str = "", tracestate: str = "") -> OtelSpan | None:
        if self._draws and not (_asked(traceparent) if traceparent else random.random() < SHARE):
            return None
        where = _ROOT
        if traceparent:
            where = self._contexts.extract({"traceparent": traceparent, "tracestate": tracestate}, _ROOT)
        facts = {"http.request.method": method}
        span = self._tracer.start_span(method, where, trace.SpanKind.SERVER, facts)
        if not span.is_recording() or not self._ration.take():
            return None
        return OtelSpan(span, method)

    def append(self, under: Span, beside: Sequence[Span], messages: int) -> OtelSpan:
        assert isinstance(under, OtelSpan)
        links = [trace.Link(each.place) for each in beside[:MOST_LINKS] if isinstance(each, OtelSpan)]
        facts: dict[str, str | int] = {"db.system.name": "redis", "db.operation.batch.size": messages}
        span = self._tracer.start_span("append to log", under.under(), trace.SpanKind.PRODUCER, facts, links)
        return OtelSpan(span, "append to log")

    def delivery(self, context: str) -> OtelSpan | None:
        where = self._contexts.extract({"traceparent": context}, _ROOT)
        span = self._tracer.start_span("deliver to streams", where, trace.SpanKind.CONSUMER)
        return OtelSpan(span, "deliver to streams") if span.is_recording() else None

    def facts(self) -> Mapping[str, int]:
        return {"sent": self._counted.sent, "failed": self._counted.failed, "dropped": self._bounded.dropped}

    async def stop(self) -> None:
        ending = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, STOP_S)


class _Counted(SpanExporter):
    """Sends, counts, and tells once that it does not work and once that it does again. Used by one thread."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.sent = self.failed = 0
        self._works = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        works = result is SpanExportResult.SUCCESS
        self.sent += len(spans) if works else 0
        self.failed += 0 if works else len(spans)
        if works != self._works:
            self._works = works
            (log.info if works else log.warning)("traces_sent_again" if works else "traces_not_sent")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Bounded(SpanProcessor):
    """Lets so many spans wait, and counts the others. Used by the loop's thread."""

    def __init__(self, behind: SpanProcessor, counted: _Counted) -> None:
        self._behind, self._counted = behind, counted
        self._most = int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE") or MOST_WAITING)
        self._taken = 0
        self.dropped = 0

    def on_end(self, span: ReadableSpan) -> None:
        if self._taken - self._counted.sent - self._counted.failed >= self._most:
            self.dropped += 1
        else:
            self._taken += 1
            self._behind.on_end(span)

    def shutdown(self) -> None:
        self._behind.shutdown()


def _asked(traceparent: str) -> bool:
    """Whether its caller records the request: a flag of the header."""
    try:
        return int(traceparent[53:55], 16) & 1 == 1
    except ValueError:
        return False


def _resource(worker: str) -> Resource:
    facts = {"service.instance.id": worker, "service.version": __version__}
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create(facts if named else {**facts, "service.name": "dchat"})
