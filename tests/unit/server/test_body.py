"""Bodies of requests, on a real connection: too large, too slow, of the wrong form."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dchat_server.errors import ChatError
from dchat_server.http import body, front
from dchat_server.http.body import parse_object, text_field
from tests.one_worker import Here, one_worker

PATH = "/v1/rooms/hall/messages"


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    async with one_worker() as here:
        await here.room("hall", "ada")
        yield here


async def raw(here: Here, head: str, *parts: bytes, pause_s: float = 0.0) -> tuple[int, str]:
    """(status, code) of a request sent by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\n{head}\r\n"
    try:
        for part in (head.encode(), *parts):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
    except ConnectionError:
        pass  # refused before all of it was sent
    try:
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            told = json.loads(await reader.readexactly(length))
    finally:
        writer.transport.abort()
    return int(answer.split(b" ")[1]), told.get("code", "")


JSON = "Content-Type: application/json\r\n"
CHUNKED = JSON + "Transfer-Encoding: chunked\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_body_may_come_in_pieces(here: Here) -> None:
    data = b'{"text":"hello"}'
    head = JSON + f"Content-Length: {len(data)}\r\n"
    assert await raw(here, head, data[:3], data[3:9], data[9:], pause_s=0.01) == (201, "")
    assert await raw(here, CHUNKED, chunk(data[:5]), chunk(data[5:]), b"0\r\n\r\n", pause_s=0.01) == (201, "")


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(here: Here) -> None:
    assert await raw(here, JSON + "Content-Length: 70000\r\n") == (413, "body_too_large")


async def test_a_body_that_is_too_large_without_saying_so_is_refused_when_it_is(here: Here) -> None:
    assert await raw(here, CHUNKED, *[chunk(b" " * 10_000)] * 8) == (413, "body_too_large")
    assert await raw(here, CHUNKED, b"".join([chunk(b" " * 10_000)] * 8) + b"0\r\n\r\n") == (413, "body_too_large")


async def test_a_body_that_trickles_in_is_given_up(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    for waits in (body, front):
        monkeypatch.setattr(waits, "BODY_S", 0.1)
    assert await raw(here, JSON + "Content-Length: 100\r\n", b'{"te') == (400, "invalid_request")
    assert await raw(here, CHUNKED, chunk(b'{"te')) == (400, "invalid_request")


async def test_the_largest_message_fits_into_a_body_whatever_its_characters(here: Here) -> None:
    for text in ("x" * 16384, "é" * 8192, "🎉" * 4096):
        status, _ = await here.call("POST", PATH, json={"text": text})
        assert status == 201
    status, told = await here.call("POST", PATH, json={"text": "é" * 8193})
    assert (status, told["code"]) == (413, "message_too_long")


async def test_a_compressed_body_is_read_and_what_only_claims_to_be_one_refused(here: Here) -> None:
    data = gzip.compress(b'{"text":"hello"}')
    head = JSON + "Content-Encoding: gzip\r\n"
    assert await raw(here, head + f"Content-Length: {len(data)}\r\n", data) == (201, "")
    status, _ = await raw(here, head + "Content-Length: 8\r\n", b"no gzip!")
    assert status == 400


async def test_a_small_body_does_not_become_a_large_one(here: Here) -> None:
    data = zlib.compress(b" " * 5_000_000)
    assert len(data) < 6000
    head = JSON + f"Content-Encoding: deflate\r\nContent-Length: {len(data)}\r\n"
    assert await raw(here, head, data) == (413, "body_too_large")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'"x"', b"null", b"1", b"NaN", b'{"text":"\xff"}', b'{"text":"\\ud800"}', b"{}x", b"[" * 5000],
)
async def test_what_is_no_json_object_is_refused(here: Here, data: bytes) -> None:
    assert await raw(here, JSON + f"Content-Length: {len(data)}\r\n", data) == (400, "invalid_request")


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
async def test_another_media_type_is_refused(here: Here, kind: str) -> None:
    """A form is what another site's page can send without asking; JSON it cannot."""
    head = f"Content-Type: {kind}\r\nContent-Length: 13\r\n"
    assert await raw(here, head, b'{"text":"hi"}') == (415, "unsupported_media_type")


def test_members_of_a_body() -> None:
    assert text_field({"a": "x"}, "a", max_chars=1) == "x"
    assert text_field({}, "a", max_chars=1) is None
    for value in ({"a": 1}, {"a": ["x"]}, {"a": "xx"}, {"a": True}):
        with pytest.raises(ChatError):
            text_field(value, "a", max_chars=1)
    with pytest.raises(ChatError):
        text_field({}, "a", max_chars=1, required=True)
    with pytest.raises(ChatError):
        text_field({"a": ""}, "a", max_chars=9, min_chars=1)
    assert parse_object(b' {"a": 1} ') == {"a": 1}


@pytest.mark.parametrize("text", ["", "-1", "0", "201", "1.0", " 5", "٣", "9" * 30, "0x10", "+5"])
async def test_numbers_of_the_query_have_bounds(here: Here, text: str) -> None:
    status, told = await here.call("GET", PATH, params={"limit": text})
    assert (status, told["code"]) == (400, "invalid_request")
