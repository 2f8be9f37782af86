"""Reading requests and writing answers: bounded, checked, with one error a mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import orjson
from aiohttp import web

from dchat_server.errors import ChatError

BODY_S = 20.0
"""How long a body may take to arrive; aiohttp itself waits for ever."""


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """The whole body. Raises ChatError body_too_large, or invalid_request when it takes longer than `BODY_S`."""
    if request.content_length is not None and request.content_length > max_bytes:
        raise ChatError("body_too_large", f"A body may have at most {max_bytes} bytes.")
    chunks: list[bytes] = []
    size = 0
    try:
        if request._payload.is_eof() and request._payload.total_bytes <= max_bytes:  # usual: it came with the head
            return await request._payload.readany()
        async with asyncio.timeout(BODY_S):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > max_bytes:
                    raise ChatError("body_too_large", f"A body may have at most {max_bytes} bytes.")
                chunks.append(chunk)
    except TimeoutError:
        raise ChatError("invalid_request", f"The body did not arrive within {BODY_S:.0f} s.") from None
    except web.RequestPayloadError:
        raise ChatError("invalid_request", "The body is not of the encoding that its headers name.") from None
    return b"".join(chunks)


async def read_object(request: web.Request, max_bytes: int = 65536, *, optional: bool = False) -> dict[str, Any]:
    """The body as a JSON object; {} for an empty body when `optional`."""
    content_type = request.content_type
    raw = await read_body(request, max_bytes)
    if not raw and optional:
        return {}
    if content_type not in ("application/json", "application/octet-stream") and not content_type.endswith("+json"):
        raise ChatError("unsupported_media_type", "Send the body as application/json.")
    return parse_object(raw)


def parse_object(raw: bytes) -> dict[str, Any]:
    """Bytes as a JSON object. Raises ChatError invalid_request."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ChatError("invalid_request", f"The body is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ChatError("invalid_request", "The body must be a JSON object.")
    return value


def text_field(
    body: Mapping[str, Any], name: str, *, max_chars: int, required: bool = False, min_chars: int = 0
) -> str | None:
    """A string member of the body, whatever is in it; None when it is absent."""
    value = body.get(name)
    if value is None:
        if required:
            raise ChatError("invalid_request", f"`{name}` is missing.")
        return None
    if not isinstance(value, str):
        raise ChatError("invalid_request", f"`{name}` must be a string.")
    if not min_chars <= len(value) <= max_chars:
        raise ChatError("invalid_request", f"`{name}` must have {min_chars} to {max_chars} characters.")
    return value


def query_int(request: web.Request, name: str, default: int | None, *, low: int, high: int) -> int | None:
    """An integer of the query string, within bounds. Raises ChatError invalid_request."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high):
        raise ChatError("invalid_request", f"`{name}` must be a whole number from {low} to {high}.")
    return int(text)


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` as a JSON response."""
    return web.Response(body=orjson.dumps(value), status=status, headers=headers, content_type="application/json")


def presence_of(user: str, online: Collection[str]) -> str:
    """Whether somebody is there, as lists of people show it."""
    return "online" if user in online else "offline"


def no_content() -> web.Response:
    return web.Response(status=204)
