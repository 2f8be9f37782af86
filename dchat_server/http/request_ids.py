"""The id of a request: by it an answer, the lines of the log and a trace are found to belong together.

A balancer's own is taken where there is a sane one (`X-Request-Id`, or AWS' `X-Amzn-Trace-Id`), so that its log says
the same. Every answer carries it as `X-Request-Id`, a stream's head too.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from dchat_server.logs import request_id

HEADER = "X-Request-Id"
OF_AWS = "X-Amzn-Trace-Id"
MAX_CHARS = 128
_SANE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:;=+/@-]{{5,{MAX_CHARS - 1}}}")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_run, _count = secrets.token_hex(5), itertools.count(1)


def sane(given: str) -> bool:
    """Whether an id that came with a request may be its id: short, plain, and nothing that could break a line."""
    return _SANE.fullmatch(given) is not None


def new_id() -> str:
    """An id that no other request has: of this process, and a number."""
    return f"{_run}-{next(_count):x}"


def id_of(headers: Mapping[str, str]) -> str:
    """The id these headers name, else a new one. Costs less than a microsecond."""
    given = headers.get(HEADER) or headers.get(OF_AWS)
    return given if given is not None and sane(given) else new_id()


def with_ids(serve: Handler) -> Handler:
    """`serve`, with an id for each request while it is served, and on its answer."""

    async def serve_named(request: web.Request) -> web.StreamResponse:
        served = id_of(request.headers)
        token = request_id.set(served)  # one task serves all requests of a connection, one after the other
        try:
            response = await serve(request)
        finally:
            request_id.reset(token)
        response.headers[HEADER] = served
        return response

    return serve_named


async def name_it(request: web.Request, response: web.StreamResponse) -> None:
    """Put the id of the request that is being served on an answer that its handler writes itself, piece by piece. To be
    called by aiohttp, by its signal `on_response_prepare`; `with_ids` sees to all other answers."""
    if served := request_id.get():
        response.headers[HEADER] = served
