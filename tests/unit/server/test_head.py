"""Where a request ends, and whether it is a plain send: never another answer than aiohttp's parser would give."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from unittest import mock

import pytest
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from dchat_server.http.head import MAX_HEAD_BYTES, Head, read_head

SEND = b"POST /v1/rooms/hall/messages HTTP/1.1"
DIGEST = sha256(b"tok").hexdigest()
FIELDS = (b"Host: here", b"Content-Type: application/json", b"Authorization: Bearer tok", b"Content-Length: 7")


def head(*more: bytes, request: bytes = SEND, without: bytes = b"-") -> bytes:
    fields = [field for field in FIELDS if not field.startswith(without)]
    return b"\r\n".join((request, *fields, *more))


def test_a_send_as_programs_send_it_is_plain() -> None:
    assert read_head(head()) == Head(7, "hall", DIGEST)
    proxied = head(b"X-Forwarded-For: 10.0.0.1", b"user-agent: curl/8", b"Accept: */*", b"Connection: Keep-Alive")
    assert read_head(proxied) == Head(7, "hall", DIGEST)


@pytest.mark.parametrize("header", [b"X-Request-Id", b"x-amzn-trace-id"])
def test_what_a_balancer_calls_a_send_leaves_it_plain(header: bytes) -> None:
    assert read_head(head(header + b": Root=1-2;Self=3")) == Head(7, "hall", DIGEST, "Root=1-2;Self=3")


@pytest.mark.parametrize(
    "unusual",
    [
        head(b"Origin: https://elsewhere"), head(b"Expect: 100-continue"), head(b"Content-Encoding: gzip"),
        head(b"Connection: close"), head(b"Cookie: a=b"), head(b"Idempotency-Key: x"), head(b"accept: a", b"Accept: b"),
        head(b"Authorization: Bearer other"), head(without=b"Host"), head(without=b"Auth"), head(without=b"Content-T"),
        head(b"Content-Type: application/json; charset=utf-8", without=b"Content-T"),
        head(b"Authorization: Basic tok", without=b"Auth"),
        head(request=b"PUT /v1/rooms/hall/messages HTTP/1.1"), head(request=b"POST /v1/rooms/Hall/messages HTTP/1.1"),
        head(request=b"POST /v1/rooms/hall/messages?x=1 HTTP/1.1"), head(request=b"POST /v1/rooms/a/b HTTP/1.1"),
    ],
)  # fmt: skip
def test_what_is_unusual_ends_where_it_ends_and_is_no_plain_send(unusual: bytes) -> None:
    assert read_head(unusual) == Head(7)


@pytest.mark.parametrize(
    "doubtful",
    [
        b"", b"x", head(b"Transfer-Encoding: chunked"), head(b"Upgrade: h2c"), head(b"Content-Length: 7"),
        head(b"Content-Length: 8", without=b"Content-L"[:9]) + b"\r\nContent-Length: 8",
        head(b"Content-Length: +7", without=b"Content-L"), head(b"Content-Length: 7, 7", without=b"Content-L"),
        head(b"Content-Length: ", without=b"Content-L"), head(b"Content-Length: -1", without=b"Content-L"),
        head(b"Content-Length : 7", without=b"Content-L"), head(b" folded: x"), head(b"\tfolded: x"),
        head(b"X: a\nY: b"),
        head(b"X: a\rY: b"), head(b"X: \x00"), head(b"X: \xff"), head(b"no colon"), head(b": nameless"),
        head(request=b"POST /v1/rooms/hall/messages HTTP/1.0"), head(request=b"POST  / HTTP/1.1"),
        head(request=b"CONNECT here:1 HTTP/1.1"), head(request=b"POST http://x/ HTTP/1.1"),
        head(request=b"post / HTTP/1.1"),
        head(b"X: " + b"x" * MAX_HEAD_BYTES), head(b"Content-Length: " + b"1" * 13, without=b"Content-L"),
    ],
)  # fmt: skip
def test_what_others_may_read_differently_is_not_guessed_at(doubtful: bytes) -> None:
    assert read_head(doubtful) is None


LINES = st.sampled_from(
    [
        *FIELDS, b"content-length:0", b"Content-Length: 12", b"Content-Length:\t3", b"Content-Length: 0x1",
        b"Transfer-Encoding: chunked", b"transfer-encoding: identity", b"TE: trailers", b"Upgrade: websocket",
        b"Connection: upgrade", b"Connection: keep-alive", b"Host: b", b"X: y", b"X:", b"X : y", b" X: y",
        b"X: \xc3\xa4",
        b"Content_Length: 5", b"Content-Length: 7\nX: y", b"Accept: */*",
    ]
)  # fmt: skip
REQUESTS = st.sampled_from(
    [
        SEND,
        b"GET / HTTP/1.1",
        b"DELETE /a%20b HTTP/1.1",
        b"GET /\xc3\xa4 HTTP/1.1",
        b"PUT * HTTP/1.1",
        b"GET / HTTP/1.1 ",
    ]
)


@given(REQUESTS, st.lists(LINES, max_size=7))
def test_aiohttp_finds_the_end_of_a_request_where_we_do(request: bytes, lines: list[bytes]) -> None:
    raw = b"\r\n".join([request, *lines])
    found = read_head(raw)
    if found is None:
        return
    loop = mock.Mock(spec=asyncio.AbstractEventLoop)
    parser = HttpRequestParser(mock.Mock(), loop, 2**16)
    try:
        messages, upgraded, tail = parser.feed_data(raw + b"\r\n\r\n" + b"b" * found.length)
        behind, _, _ = parser.feed_data(b"GET /next HTTP/1.1\r\nHost: here\r\n\r\n")
    except HttpProcessingError:
        return  # it answers 400 and closes, and nothing of what follows is believed
    assert (len(messages), upgraded, tail) == (1, False, b"")
    assert messages[0][1].total_bytes == found.length
    assert [message.path for message, _ in behind] == ["/next"]
