"""The operations for operators, the contract's own addresses, and the pages for people. They need no token."""

from __future__ import annotations

from collections.abc import Sequence

from dchat_server.http.openapi.build import Json, Operation, obj, operation, path, reply, text, whole, word

TAG = "Operators"


def operations() -> list[Operation]:
    """All of this part."""
    ready = reply(
        "It should get traffic.",
        obj(
            "status worker streams",
            {"status": word("ready"), "worker": text("The worker's name."), "streams": whole("Open streams.")},
        ),
        {"status": "ready", "worker": "w1", "streams": 3},
    )
    not_ready = reply(
        "It should not: it is stopping, or does not reach the message log.",
        obj("status", {"status": word("draining", "no message log")}),
        {"status": "draining"},
        ["Retry-After"],
    )
    return [
        _open(
            "/healthz",
            "health",
            "Whether the process serves",
            "Asks no backend: a restart would not bring Redis back.",
            {
                200: reply(
                    "It does.",
                    obj("status version", {"status": word("ok"), "version": text("The server's version.")}),
                    {"status": "ok", "version": "0.1.0"},
                )
            },
        ),
        _open(
            "/readyz",
            "ready",
            "Whether the worker should get traffic",
            "For the balancer in front.",
            {200: ready, 503: not_ready},
        ),
        _open("/metrics", "metrics", "Metrics", "In Prometheus' text format.", {200: _page("text/plain")}),
        _open(
            "/openapi.json",
            "openapi",
            "This document",
            "OpenAPI 3.1.",
            {200: reply("The document.", obj("openapi", {"openapi": text()}))},
        ),
        _open("/", "chat", "The web chat", "A page; it uses this contract.", {200: _page("text/html")}),
        _open("/dashboard", "dashboard", "The live dashboard", "A page, too.", {200: _page("text/html")}),
        _open(
            "/web/{path}",
            "webFile",
            "What the pages are made of",
            "Styles, scripts, pictures, licences. Like the pages, each has an `ETag`: ask again with `If-None-Match`.",
            {200: _page("text/css", "text/html", "text/javascript")},
            errors="not_found",
            parameters=[path("path", text(), "The file's path; it may hold slashes.", "chat/index.html")],
        ),
        _open("/docs", "docs", "This document, to read", "A page.", {200: _page("text/html")}),
        _open(
            "/docs/errors",
            "errors",
            "All error codes",
            "What the `type` of a problem points to.",
            {200: _page("text/html")},
        ),
        _open(
            "/docs/{file}",
            "docsFile",
            "What that page is made of",
            "Its style and its script.",
            {200: _page("text/css", "text/javascript")},
            errors="not_found",
            parameters=[path("file", word("docs.css", "docs.js"), "The file's name.", "docs.css")],
        ),
    ]


def _open(
    at: str,
    name: str,
    summary: str,
    description: str,
    answers: dict[int, Json],
    *,
    errors: str = "",
    parameters: Sequence[Json] = (),
) -> Operation:
    """A GET that needs no token and asks no Redis."""
    return operation(
        "GET",
        at,
        name,
        TAG,
        summary,
        description,
        answers=answers,
        scope=None,
        asks_redis=False,
        errors=errors,
        parameters=parameters,
    )


def _page(*types: str) -> Json:
    return {"description": "The page.", "content": {each: {"schema": text()} for each in types}}
