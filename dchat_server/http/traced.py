"""Requests that are traced: installed before the ordinary ways when tracing is on, and not there when it is off.

Whether a request is recorded is decided when its head is there. A plain send that is goes the ordinary way, so the
short one (front.py) has nothing to know of it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from dchat_server.http import front
from dchat_server.http.head import Head
from dchat_server.http.parts import ACCOUNTS
from dchat_server.http.request_ids import Handler
from dchat_server.http.worker import WORKER
from dchat_server.logs import bind, request_id
from dchat_server.tracing import CURRENT, Span, Tracing

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""What is asked every second, by machines."""
HUNG_UP = 499


def with_traces(serve: Handler, tracing: Tracing) -> Handler:
    """`serve`, with a span around each request that is recorded."""

    async def serve_traced(request: web.Request) -> web.StreamResponse:
        span = _begun(request, tracing)
        if span is None:
            return await serve(request)
        status, token = 500, CURRENT.set(span)
        try:
            with bind(**span.ids):
                response = await serve(request)
            status = response.status
            return response
        except (asyncio.CancelledError, ConnectionError):
            status = HUNG_UP
            raise
        finally:
            CURRENT.reset(token)
            error = str(status) if status >= 500 else ""
            span.end(error=error, route=_route_of(request), status=status, request_id=request_id.get())

    return serve_traced


class TracedConnection(front.Connection):
    """A connection that asks of each plain send whether it is recorded."""

    __slots__ = ("begun", "tracing")

    tracing: Tracing
    begun: Span | None
    """Of the send that is on its way to the ordinary handlers."""

    def _send(self, head: Head, data: bytes, body: bytes) -> bool:
        if self._is_free() and (span := self.tracing.request("POST", head.traceparent)) is not None:
            self.begun = span
            return False
        return super()._send(head, data, body)


class TracedServer(front.Server):
    """A server with such connections."""

    tracing: Tracing

    def __call__(self) -> RequestHandler:
        connection = TracedConnection(self, self.app[WORKER], self.app[ACCOUNTS], **self._kwargs)
        connection.tracing, connection.begun = self.tracing, None
        return connection


def install(runner: web.AppRunner, app: web.Application, tracing: Tracing) -> None:
    """`front.install`, with traces."""
    server: Any = runner.server
    server.request_handler = with_traces(server.request_handler, tracing)
    server.tracing = tracing
    front.install(runner, app)
    if type(server) is front.Server:
        server.__class__ = TracedServer


def _begun(request: web.Request, tracing: Tracing) -> Span | None:
    """The span of a request, begun when its head came or now; None when it is not recorded."""
    connection = request.protocol
    if isinstance(connection, TracedConnection) and connection.begun is not None:
        span, connection.begun = connection.begun, None
        return span
    if request.path in UNTRACED:
        return None
    headers = request.headers
    return tracing.request(request.method, headers.get("traceparent", ""), headers.get("tracestate", ""))


def _route_of(request: web.Request) -> str:
    """The route as it is written in the contract, which names nobody; empty where there is none."""
    match = getattr(request, "_match_info", None)
    resource = match.route.resource if match is not None else None
    return resource.canonical if resource is not None else ""
