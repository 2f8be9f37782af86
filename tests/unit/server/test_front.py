"""The short way on the wire: what is answered, in which order, and what becomes of a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import orjson
import pytest
import pytest_asyncio
import structlog
import uvloop

from dchat_server.errors import BackendUnavailable
from dchat_server.http.front import MAX_BEHIND_BYTES, Connection
from dchat_server.model import Draft, Sent
from tests.one_worker import Here, one_worker

HEAD = (
    b"POST /v1/rooms/hall/messages HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer ada\r\nContent-Length: %d\r\n\r\n"
)
CHUNKED = (
    b"POST /v1/rooms/hall/messages HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer ada\r\nTransfer-Encoding: chunked\r\n\r\n"
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


def post(text: str, **more: object) -> bytes:
    body = orjson.dumps({"text": text, **more})
    return HEAD % len(body) + body


class Wire:
    """A connection to the worker, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
            return int(status.split()[1]), headers, body

    async def said(self, data: bytes = b"") -> str:
        """The text of the message that was stored."""
        self.writer.write(data)
        status, _, body = await self.answer()
        assert status == 201, body
        return str(orjson.loads(body)["message"]["text"])

    async def ended(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.read()


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    async with one_worker() as here:
        await here.room("hall", "ada", "bob")
        yield here


@pytest_asyncio.fixture
async def wire(here: Here) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    await asyncio.sleep(0)
    yield Wire(reader, writer)
    writer.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rooms to which a message went the short way."""
    went: list[str] = []
    send = Connection._send

    def noted(self: Connection, head: object, *more: object) -> bool:
        done = send(self, head, *more)  # type: ignore[arg-type]
        if done:
            went.append(head.room)  # type: ignore[attr-defined]
        return done

    monkeypatch.setattr(Connection, "_send", noted)
    return went


class SlowLog:
    """Keeps what is posted until it is let go."""

    def __init__(self, here: Here) -> None:
        self.kept: list[tuple[str, Draft, Callable[[Sent | Exception | None], None]]] = []
        self._post, here.log.post = here.log.post, self._keep  # type: ignore[method-assign]

    def _keep(self, room: str, draft: Draft, told: Callable[[Sent | Exception | None], None]) -> None:
        self.kept.append((room, draft, told))

    def let_go(self) -> None:
        while self.kept:
            self._post(*self.kept.pop(0))


async def texts(here: Here) -> list[str]:
    _, page = await here.call("GET", "/v1/rooms/hall/messages")
    return [message["text"] for message in page["messages"]]


async def test_plain_sends_go_the_short_way_from_the_first_on(here: Here, wire: Wire, short: list[str]) -> None:
    assert [await wire.said(post(text)) for text in ("a", "b", "c")] == ["a", "b", "c"]
    assert short == ["hall"] * 3


def test_a_connection_may_begin_with_one(short: list[str]) -> None:
    async def at_once() -> None:
        async with one_worker() as here:
            await here.room("hall", "ada")
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", here.port)) as early:
                    early.sendall(post("once"))  # it is there before the server has heard of the connection
                    early.setblocking(False)
                    async with asyncio.timeout(10):
                        assert (await asyncio.get_running_loop().sock_recv(early, 12)) == b"HTTP/1.1 201"

    # The loop that workers run on hands out the first bytes before the tasks of the connection have begun.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(at_once())
    assert short == ["hall"] * 5


async def test_what_is_no_send_goes_to_aiohttp_and_the_next_send_the_short_way_again(
    here: Here, wire: Wire, short: list[str]
) -> None:
    for number in range(3):
        wire.writer.write(HEALTH)
        assert (await wire.answer())[0] == 200
        wire.writer.write(post("", client_id="k"))
        assert (await wire.answer())[0] == 400
        assert await wire.said(post(f"{number}")) == f"{number}"
    assert len(short) == 3


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_bytes_may_come_in_any_pieces(here: Here, wire: Wire, size: int) -> None:
    data = post("one") + HEALTH + post("two") + post("three")
    for at in range(0, len(data), size):
        wire.writer.write(data[at : at + size])
        await wire.writer.drain()
        await asyncio.sleep(0)
    assert await wire.said() == "one"
    assert (await wire.answer())[0] == 200
    assert [await wire.said(), await wire.said()] == ["two", "three"]
    assert await texts(here) == ["one", "two", "three"]


async def test_head_and_body_may_come_apart(here: Here, wire: Wire, short: list[str]) -> None:
    await here.call("GET", "/healthz")
    head, _, body = post("apart").partition(b"\r\n\r\n")
    for piece in (head + b"\r\n\r\n", body[:3], body[3:]):
        wire.writer.write(piece)
        await wire.writer.drain()
        await here.call("GET", "/healthz")
    assert await wire.said() == "apart"
    assert short == ["hall"]


async def test_a_body_that_never_comes_is_left_to_the_ordinary_way(
    here: Here, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dchat_server.http.front.BODY_S", 0.05)
    monkeypatch.setattr("dchat_server.http.body.BODY_S", 0.05)
    await here.call("GET", "/healthz")
    wire.writer.write(post("never")[:-1])
    status, _, body = await wire.answer()
    assert (status, orjson.loads(body)["code"]) == (400, "invalid_request")
    assert await texts(here) == []


async def test_requests_sent_ahead_are_answered_in_order(here: Here, wire: Wire) -> None:
    await here.call("GET", "/healthz")
    many = [f"{number}" for number in range(40)]
    wire.writer.write(b"".join(map(post, many)))
    assert [await wire.said() for _ in many] == many
    assert await texts(here) == many


async def test_what_comes_while_a_message_is_being_stored_waits_and_is_bounded(here: Here, wire: Wire) -> None:
    await here.call("GET", "/healthz")
    log = SlowLog(here)
    wire.writer.write(post("first"))
    await here.until(lambda: log.kept)
    long = [post(f"{number} " + "x" * 10_000) for number in range(400)]
    for each in long:
        wire.writer.write(each)
    held = [each for each in here.server.connections if isinstance(each, Connection) and each._sending]
    await here.until(lambda: len(held[0]._behind) >= MAX_BEHIND_BYTES)
    for _ in range(20):
        await here.call("GET", "/healthz")
    assert len(held[0]._behind) < MAX_BEHIND_BYTES + (1 << 19), "the rest waits with its sender"
    log.let_go()
    assert await wire.said() == "first"
    for number in range(len(long)):
        await here.until(lambda: log.let_go() or wire.reader._buffer)  # type: ignore[attr-defined]
        assert (await wire.said()).startswith(f"{number} ")


async def test_a_send_inside_a_chunked_body_is_text_and_nothing_else(here: Here, wire: Wire, short: list[str]) -> None:
    await here.call("GET", "/healthz")
    inner = post("smuggled")
    body = orjson.dumps({"text": "outer"})
    wire.writer.write(CHUNKED)
    await wire.writer.drain()
    await here.call("GET", "/healthz")
    for piece in (body + b" " * 10,):
        wire.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    wire.writer.write(b"%x\r\n" % len(inner))
    await wire.writer.drain()
    await here.call("GET", "/healthz")
    wire.writer.write(inner)
    await wire.writer.drain()
    await here.call("GET", "/healthz")
    wire.writer.write(b"\r\n0\r\n\r\n")
    status, _, _ = await wire.answer()
    assert status == 400, "the body as a whole is no JSON"
    assert await texts(here) == []
    assert short == []


async def test_a_send_inside_a_plain_body_is_text_and_nothing_else(here: Here, wire: Wire, short: list[str]) -> None:
    await here.call("GET", "/healthz")
    inner = post("smuggled")
    wire.writer.write(HEAD.replace(b"/messages", b"/typing") % len(inner))
    await wire.writer.drain()
    await here.call("GET", "/healthz")
    wire.writer.write(inner)
    assert (await wire.answer())[0] in (204, 400, 415)
    assert await texts(here) == []
    assert await wire.said(post("after")) == "after"
    assert short == ["hall"]


@pytest.mark.parametrize(("given", "kept"), [("Root=1-2;Self=3", True), ("two words", False), ("short", False)])
async def test_a_send_is_named_as_its_balancer_names_it_when_that_is_sane(
    here: Here, wire: Wire, short: list[str], given: str, kept: bool
) -> None:
    await here.call("GET", "/healthz")
    wire.writer.write(post("hi").replace(b"\r\n\r\n", b"\r\nX-Request-Id: %b\r\n\r\n" % given.encode()))
    _, headers, _ = await wire.answer()
    assert (headers["x-request-id"] == given) == kept
    assert len(headers["x-request-id"]) > 5
    assert short == ["hall"]


async def test_a_refusal_of_the_log_is_a_problem_and_the_connection_stays(
    here: Here, wire: Wire, short: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.call("GET", "/healthz")

    def refuse(room: str, draft: object, told: object) -> None:
        asyncio.get_running_loop().call_soon(told, BackendUnavailable())  # type: ignore[arg-type]

    with monkeypatch.context() as patch, structlog.testing.capture_logs() as logged:
        patch.setattr(here.log, "post", refuse)
        wire.writer.write(post("lost?"))
        status, headers, body = await wire.answer()
    assert (status, headers["content-type"], headers["retry-after"]) == (503, "application/problem+json", "2")
    told = orjson.loads(body)
    assert told["code"] == "backend_unavailable"
    assert told["request_id"] == headers["x-request-id"]
    assert (logged[0]["event"], logged[0]["path"]) == ("request_refused", "/v1/rooms/hall/messages")
    assert here.worker.refused["backend_unavailable"] == 1
    assert await wire.said(post("there")) == "there"
    assert short == ["hall", "hall"]


async def test_a_mistake_of_ours_is_500_and_says_nothing(
    here: Here, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.call("GET", "/healthz")

    def fail(room: str, draft: object, told: object) -> None:
        asyncio.get_running_loop().call_soon(told, ZeroDivisionError("secret"))  # type: ignore[arg-type]

    monkeypatch.setattr(here.log, "post", fail)
    wire.writer.write(post("x"))
    status, _, body = await wire.answer()
    assert status == 500
    assert b"secret" not in body


async def test_where_the_log_must_ask_first_the_ordinary_way_answers(
    here: Here, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.call("GET", "/healthz")

    def behind(room: str, draft: object, told: object) -> None:
        asyncio.get_running_loop().call_soon(told, None)  # type: ignore[arg-type]

    monkeypatch.setattr(here.log, "post", behind)
    wire.writer.write(post("one") + post("two"))
    assert [await wire.said(), await wire.said()] == ["one", "two"]
    assert await texts(here) == ["one", "two"]


async def test_the_answer_under_way_when_a_drain_begins_says_that_the_connection_ends(here: Here, wire: Wire) -> None:
    await here.call("GET", "/healthz")
    assert await wire.said(post("before")) == "before"
    log = SlowLog(here)
    wire.writer.write(post("during"))
    await here.until(lambda: log.kept)
    here.worker.draining = True
    log.let_go()
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (201, "close")
    assert await wire.ended() == b""


async def test_a_send_on_a_worker_that_drains_goes_the_ordinary_way(here: Here, wire: Wire, short: list[str]) -> None:
    await here.call("GET", "/healthz")
    here.worker.draining = True
    wire.writer.write(post("late"))
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (201, "close")
    assert short == []


async def test_a_message_is_stored_whoever_hung_up_meanwhile(here: Here, wire: Wire) -> None:
    await here.call("GET", "/healthz")
    log = SlowLog(here)
    wire.writer.write(post("gone"))
    await here.until(lambda: log.kept)
    wire.writer.transport.abort()
    await here.until(
        lambda: not any(isinstance(each, Connection) and each._sending for each in here.server.connections)
    )
    log.let_go()
    await here.until(lambda: here.worker.publisher.sent == 1)
    assert await texts(here) == ["gone"]


async def test_sends_keep_a_connection_from_idling_out(here: Here, wire: Wire) -> None:
    await here.call("GET", "/healthz")
    assert await wire.said(post("a")) == "a"
    connections = [each for each in here.server.connections if isinstance(each, Connection) and not each._lost_track]
    before = [each._next_keepalive_close_time for each in connections]
    await asyncio.sleep(0.01)
    assert await wire.said(post("b")) == "b"
    assert sum(each._next_keepalive_close_time for each in connections) > sum(before)
