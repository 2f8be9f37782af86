"""A collector of traces: takes what OpenTelemetry sends by OTLP over HTTP, and keeps it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

MAX_BODY = 16 << 20


@dataclass
class Kept:
    """A span as it came. Ids are hexadecimal; `worker` is the instance that sent it."""

    worker: str
    trace: str
    id: str
    parent: str
    name: str
    failed: bool
    began_ns: int
    ended_ns: int
    facts: dict[str, Any] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)


class Collector:
    """Listens on a port of its own, as a context manager."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers["Content-Length"]), MAX_BODY))
                collector.bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") else body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def spans(self, trace: str | None = None) -> list[Kept]:
        """What came so far, of one trace or of all."""
        return [span for body in list(self.bodies) for span in spans_in(body) if trace in (None, span.trace)]


def spans_in(body: bytes) -> Iterator[Kept]:
    for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _facts(sent.resource.attributes)
        for scope in sent.scope_spans:
            for span in scope.spans:
                yield Kept(
                    resource["service.instance.id"],
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.name,
                    span.status.code == 2,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    _facts(span.attributes),
                    [link.span_id.hex() for link in span.links],
                )


def _facts(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
