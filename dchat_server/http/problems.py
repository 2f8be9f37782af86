"""Failures as `application/problem+json` (RFC 9457): one middleware around everything."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import orjson
import structlog
from aiohttp import web

from dchat_server import wire
from dchat_server.errors import ChatError
from dchat_server.http.worker import WORKER, Worker
from dchat_server.logs import request_id

log = structlog.get_logger("dchat.http")

_OF_AIOHTTP = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


PROBLEM = "application/problem+json"


def problem_response(error: ChatError) -> web.Response:
    """The answer for a failure. 429 and 503 carry `Retry-After`, 401 how to sign in."""
    return web.Response(
        body=orjson.dumps(problem_of(error)),
        status=error.failure.status,
        headers=problem_headers(error),
        content_type=PROBLEM,
    )


def problem_headers(error: ChatError) -> dict[str, str]:
    """The headers that belong to a failure, beside those of every answer."""
    headers = {}
    if error.status in (429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s or 1)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def problem_of(error: ChatError) -> dict[str, object]:
    """The problem's members. One that is the server's own names the request, as the log does: so it can be found there.
    The others say the same to everybody, whoever asks and however often."""
    failure = error.failure
    extra = error.extra
    if failure.status >= 500 and (served := request_id.get()):
        extra = {**extra, "request_id": served}
    return wire.problem(failure.code, failure.status, failure.title, error.detail, extra)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into a problem; log only what is our own mistake."""
    response = await _answer(request, handler)
    if request.app[WORKER].draining:
        response.force_close()  # a client that keeps its connection would find it closed under its next request
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ChatError as error:
        return refusal(request, request.app[WORKER], error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = _OF_AIOHTTP.get(error.status, "invalid_request")
        request.app[WORKER].refused[code] += 1
        answer = problem_response(ChatError(code))
        if isinstance(error, web.HTTPMethodNotAllowed):
            answer.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return answer
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        return mistake(request, request.app[WORKER])


def refusal(request: web.Request, worker: Worker, error: ChatError) -> web.Response:
    """The answer for a failure, once it is noted."""
    note_refusal(worker, error, request.method, request.path)
    return problem_response(error)


def note_refusal(worker: Worker, error: ChatError, method: str, path: str) -> None:
    """Count a refusal, and log it where it is the server's own (http/worker.py says how many of them)."""
    worker.refused[error.code] += 1
    if error.status >= 500 and worker.told_refusals.take():
        skipped, worker.told_refusals.skipped = worker.told_refusals.skipped, 0
        more = {"unlogged": skipped} if skipped else {}
        log.warning("request_refused", code=error.code, method=method, path=path, **more)


def mistake(request: web.Request, worker: Worker) -> web.Response:
    """The answer where an exception that is being handled is our own mistake: it is logged, not told."""
    log.exception("request_failed", method=request.method, path=request.path)
    worker.refused["internal"] += 1
    return problem_response(ChatError("internal", "The server made a mistake; it is in its log."))
