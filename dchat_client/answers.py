"""Reading what a server answered:

JSON objects, NDJSON lines, problem documents, and what is none of these.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from dchat_client.errors import ChatError, Refused, ServerFault, StreamBroken, from_problem
from dchat_client.outbox import Answer

MAX_ANSWER_BYTES = 16 << 20
"""Larger than any answer of the API: 200 messages of 16 KiB, escaped."""
MAX_ERROR_BYTES = 64 << 10
MAX_REQUEST_ID = 128


async def decoded(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return the JSON object of a successful answer, {} for 204. Raises ServerFault when it is none."""
    if response.status == 204:
        return {}
    raw = await _bounded(response, MAX_ANSWER_BYTES)
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ServerFault(f"{response.url.origin()} answered something that is not D-Chat's", code="not_dchat")
    return answer


async def refusal(response: aiohttp.ClientResponse) -> ChatError:
    """Return the error that an answer of 300 and above stands for."""
    raw = await first_bytes(response, MAX_ERROR_BYTES)
    status = response.status
    if status < 400:
        there = response.headers.get("Location", "another address")
        return Refused(f"{response.url.origin()} points to {there}", code="redirected", status=status)
    try:
        problem = json.loads(raw)
    except (ValueError, RecursionError):
        problem = None
    return from_problem(
        status,
        problem,
        retry_after_s=_seconds(response.headers.get("Retry-After")),
        fallback=f"{response.url.origin()} answered {status} {response.reason or ''}".rstrip(),
        request_id=response.headers.get("X-Request-Id", "")[:MAX_REQUEST_ID] or None,
    )


async def first_bytes(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body up to `limit` bytes and leave the rest unread."""
    start = b""
    async for part in response.content.iter_any():
        start += part
        if len(start) >= limit:
            break
    return start[:limit]


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise ServerFault(f"the answer is larger than {limit} bytes", code="not_dchat")
        parts.append(part)
    return b"".join(parts)


async def lines_of(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of an NDJSON answer as they come. A cut connection raises after the last whole line."""
    rest = b""
    async for part in response.content.iter_any():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > MAX_ANSWER_BYTES:
            raise StreamBroken("a line of the answer is too long", code="stream_broken")
    if rest.strip():
        yield rest


def object_of(line: bytes) -> dict[str, Any]:
    """Return a line's JSON object. Raises ServerFault when it is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ServerFault("the answer has a line that makes no sense", code="not_dchat")
    return value


def answer_of(line: bytes) -> Answer:
    """Return what one line of a batch's answer says. Raises ServerFault when it makes no sense."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    status = value.get("status") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(status, int):
        raise ServerFault("the answer to a batch has a line that makes no sense", code="not_dchat")
    if status < 300:
        return Answer(status, message=field(value, "message"))
    error = from_problem(status, value.get("error"), retry_after_s=_seconds(value.get("retry_after")))
    return Answer(status, error=error)


def field(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object called `name` in an answer. Raises ServerFault when it is not there."""
    value = answer.get(name)
    if not isinstance(value, dict):
        raise ServerFault(f"the answer has no {name}", code="not_dchat")
    return value


def _seconds(value: object) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None
