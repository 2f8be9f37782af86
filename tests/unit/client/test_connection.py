"""Requests and streams over a real socket, with the faults a network has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from dchat_client.answers import answer_of
from dchat_client.connection import Connection
from dchat_client.errors import Busy, ChatError, NotFound, Refused, ServerFault, SignInNeeded, Unreachable
from dchat_client.outbox import Entry
from dchat_client.session import Attach

NOW = Attach(None, None, None)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(*answers: bytes, delay_s: float = 0.0) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives `answers`, one a connection, the last again and again;

    yields its address and what it was asked.
    """
    asked: list[bytes] = []
    handlers: list[asyncio.Task[None]] = []
    left = list(answers)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(asyncio.CancelledError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    head += await reader.readexactly(int(line.split(b":")[1]))
            asked.append(head)
            answer = left.pop(0) if len(left) > 1 else left[0]
            await asyncio.sleep(delay_s)
            writer.write(answer)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    async with server:
        yield f"http://{host}:{port}", asked
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers)


def http(status: int, body: bytes, kind: str = "application/json", **headers: str) -> bytes:
    fields = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


OK = http(200, b'{"ok": true}')
BUSY = http(503, b'{"code": "backend_unavailable", "detail": "later"}', Retry_After="0")
DRAINING = http(503, b'{"code": "draining"}', Retry_After="0")


async def test_the_answer_and_the_token() -> None:
    async with listening(OK) as (url, asked), Connection([url], "secret") as connection:
        assert await connection.request("GET", "/v1/me", params={"a": "b c"}) == {"ok": True}
    assert asked[0].startswith(b"GET /v1/me?a=b+c HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret\r\n" in asked[0]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (401, b'{"code": "unauthorized", "detail": "no"}', SignInNeeded, "unauthorized"),
        (404, b'{"code": "room_not_found"}', NotFound, "room_not_found"),
        (409, b'{"code": "room_taken"}', Refused, "room_taken"),
        (429, b'{"code": "too_many_rooms"}', Busy, "too_many_rooms"),
        (500, b'{"code": "internal"}', ServerFault, "internal"),
        (418, b"<html>", Refused, "http_418"),
        (403, b'{"code": 7, "detail": []}', Refused, "http_403"),
        (200, b"<html>", ServerFault, "not_dchat"),
        (200, b"[1]", ServerFault, "not_dchat"),
        (200, b"[" * 100_000, ServerFault, "not_dchat"),
    ],
)
async def test_every_other_answer_is_an_error_of_its_kind(
    status: int, body: bytes, kind: type[ChatError], code: str
) -> None:
    async with listening(http(status, body)) as (url, _), Connection([url], tries=1) as connection:
        with pytest.raises(kind) as caught:
            await connection.request("GET", "/v1/me")
    assert caught.value.code == code
    assert str(caught.value)


async def test_what_may_be_repeated_is_repeated() -> None:
    async with listening(BUSY, BUSY, OK) as (url, asked), Connection([url]) as connection:
        assert await connection.request("GET", "/v1/me") == {"ok": True}
    assert len(asked) == 3


@pytest.mark.parametrize("answer", [BUSY, b"", http(502, b""), http(504, b"")])
async def test_a_post_whose_outcome_is_unknown_is_not_repeated(answer: bytes) -> None:
    async with listening(answer, OK) as (url, asked), Connection([url]) as connection:
        with pytest.raises(ChatError):
            await connection.request("POST", "/v1/register", body={})
    assert len(asked) == 1


@pytest.mark.parametrize("answer", [DRAINING, http(429, b"{}", Retry_After="0")])
async def test_a_post_that_surely_was_not_done_is_repeated(answer: bytes) -> None:
    async with listening(answer, OK) as (url, asked), Connection([url]) as connection:
        assert await connection.request("POST", "/v1/rooms", body={}) == {"ok": True}
    assert len(asked) == 2


async def test_a_message_is_repeated_with_the_same_key() -> None:
    stored = http(200, b'{"message": {"seq": 1}}')
    async with listening(b"", BUSY, stored) as (url, asked), Connection([url]) as connection:
        assert await connection.post_message("r", "x", client_id="k") == ({"seq": 1}, True)
    assert len(asked) == 3
    assert all(b'"client_id":"k"' in request for request in asked)


async def test_tries_and_patience_are_bounded() -> None:
    async with listening(BUSY) as (url, asked), Connection([url], tries=2) as connection:
        with pytest.raises(Busy):
            await connection.request("GET", "/")
        assert len(asked) == 2
    slow = http(503, b"{}", Retry_After="3600")
    async with listening(slow) as (url, asked), Connection([url]) as connection:
        with pytest.raises(Busy) as caught:
            await connection.request("GET", "/")
        assert caught.value.retry_after_s == 3600
        assert len(asked) == 1


async def test_an_answer_that_does_not_come_in_time_is_unreachable() -> None:
    async with listening(OK, delay_s=5) as (url, _), Connection([url], timeout_s=0.1, tries=1) as connection:
        with pytest.raises(Unreachable, match="in time"):
            await connection.request("GET", "/")
        with pytest.raises(Unreachable, match="in time"):
            async with connection.stream(NOW):
                pass


async def test_an_answer_that_is_cut_off_is_unreachable() -> None:
    async with listening(OK[:-3]) as (url, _), Connection([url], tries=1) as connection:
        with pytest.raises(Unreachable):
            await connection.request("GET", "/")


async def test_the_next_address_takes_over_and_stays(free_port: int) -> None:
    async with listening(OK) as (url, asked), Connection([f"http://127.0.0.1:{free_port}", url]) as connection:
        assert await connection.request("POST", "/v1/rooms", body={}) == {"ok": True}
        assert connection.url == url
        await connection.request("GET", "/")
    assert len(asked) == 2


async def test_a_redirect_is_not_followed_so_that_the_token_stays_here() -> None:
    async with (
        listening(OK) as (other, asked),
        listening(http(302, b"", Location=other)) as (url, _),
        Connection([url], "t") as connection,
    ):
        with pytest.raises(Refused, match="points to") as caught:
            await connection.request("GET", "/")
    assert caught.value.code == "redirected"
    assert asked == []


async def test_a_token_cannot_smuggle_headers() -> None:
    async with listening(OK) as (url, asked), Connection([url], "x\r\nEvil: 1") as connection:
        with pytest.raises(Refused):
            await connection.request("GET", "/")
    assert asked == []


# Batches

ENTRIES = [Entry("r", "a", "k1"), Entry("r", "b", "k2")]
LINE = b'{"status": 201, "message": {"seq": 1}}\n'


async def test_a_batch_gives_an_answer_for_each_line() -> None:
    answer = http(200, LINE + LINE[:-1], "application/x-ndjson")
    async with listening(answer) as (url, asked), Connection([url]) as connection:
        answers = await connection.post_batch("r", ENTRIES)
    assert [one.status for one in answers] == [201, 201]
    assert asked[0].endswith(b'{"text":"a","client_id":"k1"}\n{"text":"b","client_id":"k2"}\n')


async def test_a_batch_that_is_cut_off_gives_the_answers_that_came() -> None:
    answer = http(200, LINE + LINE, "application/x-ndjson")[:-5]
    async with listening(answer) as (url, _), Connection([url]) as connection:
        assert len(await connection.post_batch("r", ENTRIES)) == 1


async def test_a_batch_without_any_answer_is_an_error() -> None:
    for answer in (b"", http(200, b"<html>\n", "text/html"), http(500, b"")):
        async with listening(answer) as (url, _), Connection([url]) as connection:
            with pytest.raises((Unreachable, ServerFault)):
                await connection.post_batch("r", ENTRIES)


def test_the_golden_batch_answer_is_read_as_it_says() -> None:
    import json

    golden = Path(__file__).parents[2] / "golden" / "batch" / "mixed.ndjson"
    for line, expected in zip(
        golden.read_bytes().splitlines(), json.loads(golden.with_suffix(".json").read_text()), strict=True
    ):
        answer = answer_of(line)
        assert answer.status == expected["status"]
        if "seq" in expected:
            assert answer.message is not None
            assert answer.message["seq"] == expected["seq"]
        else:
            assert answer.error is not None
            assert (answer.error.code, answer.error.retry_after_s) == (expected["code"], expected.get("retry_after_s"))


# Streams


async def drained(connection: Connection, attach: Attach = NOW) -> bytes:
    """All bytes of a stream."""
    data = b""
    async with connection.stream(attach) as stream:
        while part := await stream.read():
            data += part
    return data


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"


async def test_a_stream_gives_its_bytes_and_ends_with_none() -> None:
    async with listening(STREAM + b": hi\n\n") as (url, asked), Connection([url], "t") as connection:
        assert await drained(connection, Attach(("a", "b"), "c1", None)) == b": hi\n\n"
    assert asked[0].startswith(b"GET /v1/events?rooms=a,b HTTP/1.1\r\n")
    assert b"Last-Event-ID: c1\r\n" in asked[0]
    assert b"Accept: text/event-stream\r\n" in asked[0]


@pytest.mark.parametrize(
    ("attach", "query"),
    [
        (Attach(None, None, "10m"), b"?since=10m"),
        (Attach(None, "c", "10m"), b""),
        (Attach(None, "ü\n", None), b"?cursor=%C3%BC%0A"),
        (NOW, b""),
    ],
)
async def test_where_a_stream_begins(attach: Attach, query: bytes) -> None:
    async with listening(STREAM) as (url, asked), Connection([url]) as connection:
        await drained(connection, attach)
    assert asked[0].startswith(b"GET /v1/events" + query + b" HTTP/1.1\r\n")


async def test_a_stream_that_is_refused_or_something_else_is_an_error() -> None:
    for answer, kind in (
        (http(404, b'{"code": "room_not_found"}'), NotFound),
        (BUSY, Busy),
        (OK, ServerFault),
        (b"", Unreachable),
    ):
        async with listening(answer) as (url, _), Connection([url]) as connection:
            with pytest.raises(kind):
                await drained(connection)


async def test_a_stream_that_breaks_is_unreachable() -> None:
    chunked = STREAM.replace(b"Connection: close", b"Transfer-Encoding: chunked") + b"5\r\nab"
    async with listening(chunked) as (url, _), Connection([url]) as connection:
        with pytest.raises(Unreachable):
            await drained(connection)
