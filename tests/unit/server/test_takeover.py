"""Streams on real connections to a real aiohttp server, taken over and as ordinary responses."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.web_protocol import RequestHandler

from dchat_server import wire
from dchat_server.http import takeover
from dchat_server.http.takeover import can_take_over, head_bytes
from dchat_server.hub import CLOSED
from tests.one_worker import Here, one_worker
from tests.property.sse import Seen, decode


class Connection:
    """A raw connection to the server that asked for the stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = b""
        self.body = b""
        self.counted = 0
        self._tail = b""

    @property
    def seen(self) -> list[Seen]:
        body = self.body
        if b"chunked" in self.head:
            body, rest = b"", self.body
            while b"\r\n" in rest:
                size, _, rest = rest.partition(b"\r\n")
                length = int(size, 16)
                body, rest = body + rest[:length], rest[length + 2 :]
        return decode(body)

    async def until(self, *types: str) -> None:
        """Read until the stream has told exactly these."""
        async with asyncio.timeout(10):
            while [each.type for each in self.seen] != list(types):
                data = await self.reader.read(65536)
                assert data, f"the stream ended with {[each.type for each in self.seen]}"
                self.body += data

    async def messages(self, count: int) -> None:
        """Read until so many messages have come, however large they are; only their number is kept."""
        mark = b"event: message\n"
        async with asyncio.timeout(20):
            while self.counted < count:
                data = await self.reader.read(1 << 18)
                assert data, "the stream ended"
                self.counted += (self._tail + data).count(mark)
                self._tail = (self._tail + data)[1 - len(mark) :]
        assert self.counted == count

    async def ended(self) -> bool:
        async with asyncio.timeout(10):
            try:
                while data := await self.reader.read(65536):
                    self.body += data
            except ConnectionError:
                pass
            return True

    def close(self) -> None:
        self.writer.transport.abort()


async def connect(here: Here, path: str = "/v1/events", user: str = "ada", *, receive_buffer: int = 0) -> Connection:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", here.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096 if receive_buffer else 65536)
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user}\r\nAccept: text/event-stream\r\n\r\n"
    writer.write(request.encode())
    connection = Connection(reader, writer)
    here.closers.append(connection.close)
    connection.head = await reader.readuntil(b"\r\n\r\n")
    return connection


@pytest_asyncio.fixture(params=["taken over", "ordinary"])
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Here]:
    async with one_worker() as here:
        here.worker.may_take_over = request.param == "taken over"
        await here.room("hall", "ada", "bob")
        yield here


@pytest_asyncio.fixture
async def taking() -> AsyncIterator[Here]:
    async with one_worker() as here:
        await here.room("hall", "ada", "bob")
        yield here


def say(here: Here, text: str = "hi", room: str = "hall") -> None:
    here.cluster.append(room, "message", wire.fields(sender="ada", text=text))


# --- the same on both ways ------------------------------------------------------------------------------------------


async def test_the_head_and_the_events_arrive(here: Here) -> None:
    one = await connect(here)
    status, *lines = one.head.decode().split("\r\n")[:-2]
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert status == "HTTP/1.1 200 OK"
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    await one.until("hello")
    say(here)
    await one.until("hello", "message")
    say(here)
    await one.until("hello", "message", "message")
    assert [json.loads(each.data)["seq"] for each in one.seen[1:]] == [4, 5]
    one.close()


async def test_a_client_that_hangs_up_drops_its_stream_at_once(here: Here) -> None:
    one, two = await connect(here), await connect(here)
    await one.until("hello")
    await two.until("hello")
    assert here.worker.hub.count == 2
    one.close()
    await here.until(lambda: here.worker.hub.count == 1)
    two.writer.write_eof()
    await here.until(lambda: here.worker.hub.count == 0)
    two.close()
    await here.until(lambda: not here.slots._counts)


async def test_a_stream_the_hub_closes_ends_with_its_last_words(here: Here) -> None:
    one = await connect(here)
    await one.until("hello")
    (stream,) = here.worker.hub.streams()
    here.worker.hub.close(stream, wire.control_frame("auth_expired", reason="revoked"))
    await one.until("hello", "auth_expired")
    if here.worker.may_take_over:
        assert await one.ended()
    one.close()


async def test_a_client_that_does_not_read_is_cut_and_costs_the_others_nothing(here: Here) -> None:
    slow = await connect(here, receive_buffer=4096)
    quick = await connect(here, user="bob")
    await quick.until("hello")
    hub = here.worker.hub
    text = "x" * 16_000
    async with asyncio.timeout(20):
        told = 0
        while hub.count == 2:
            told += 1
            say(here, text)
            await quick.messages(told)
            assert told < 600, "ten megabytes wait for a client that reads nothing"
    assert hub.closed_slow == 1 or not here.worker.may_take_over
    say(here, "after")
    await quick.messages(told + 1)
    slow.close()
    quick.close()


async def test_a_long_replay_goes_at_the_pace_of_its_client(here: Here) -> None:
    """Many megabytes, larger than every buffer on the way: nothing is missing at the end."""
    one = await connect(here, "/v1/events?rooms=hall")
    await one.until("hello")
    cursor = one.seen[-1].last_id
    one.close()
    for number in range(400):
        say(here, f"{number} " + "x" * 16_000)
    await here.caught_up()
    late = await connect(here, f"/v1/events?cursor={cursor}", receive_buffer=65536)
    await late.messages(400)
    say(here, "live")
    await late.messages(401)
    late.close()


async def test_a_client_that_hangs_up_in_the_middle_of_a_replay_leaves_nothing(here: Here) -> None:
    one = await connect(here)
    await one.until("hello")
    cursor = one.seen[-1].last_id
    one.close()
    for _ in range(400):
        say(here, "x" * 16_000)
    late = await connect(here, f"/v1/events?cursor={cursor}", receive_buffer=4096)
    await late.reader.read(1000)
    late.close()
    await here.until(lambda: here.worker.hub.count == 0)
    await here.until(lambda: not here.worker.tasks)


# --- taken over -----------------------------------------------------------------------------------------------------


async def test_aiohttp_has_forgotten_a_connection_that_was_taken_over(taking: Here) -> None:
    def handlers() -> list[object]:
        gc.collect()
        return [each for each in gc.get_objects() if type(each).__name__ == "RequestHandler"]

    others = handlers()  # of tests before this one
    tasks = asyncio.all_tasks()
    one = await connect(taking)
    await one.until("hello")
    await taking.until(lambda: not taking.worker.tasks)
    assert not taking.server.connections
    # Others come and go: the worker's part in the cluster has tasks of its own.
    ours = ("aiohttp", "dchat_server/http")
    assert not [task for task in asyncio.all_tasks() - tasks if any(where in repr(task) for where in ours)]
    mine = [each for each in handlers() if not any(each is other for other in others)]
    assert not mine, "aiohttp's handler of the connection is still there"
    one.close()
    await taking.until(lambda: taking.worker.hub.count == 0)


async def test_an_ordinary_one_is_still_aiohttps(taking: Here) -> None:
    taking.worker.may_take_over = False
    one = await connect(taking)
    await one.until("hello")
    assert len(taking.server.connections) == 1
    one.close()


async def test_the_server_stops_quickly_with_streams_that_were_taken_over() -> None:
    async with one_worker() as here:
        await here.room("hall", "ada")
        one = await connect(here)
        await one.until("hello")
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5
    assert await one.ended()
    one.close()


async def test_what_a_client_says_on_a_stream_is_ignored(taking: Here) -> None:
    one = await connect(taking)
    await one.until("hello")
    one.writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    await one.writer.drain()
    say(taking)
    await one.until("hello", "message")
    one.close()


async def test_a_request_with_a_body_that_was_not_read_is_noticed_when_it_goes(taking: Here) -> None:
    """aiohttp pauses a connection whose body nobody reads; a stream must hear its end all the same."""
    reader, writer = await asyncio.open_connection("127.0.0.1", taking.port)
    head = "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\nContent-Length: 5000000\r\n\r\n"
    writer.write(head.encode() + b"x" * 300_000)
    await reader.readuntil(b"event: hello")
    assert taking.worker.hub.count == 1
    writer.transport.abort()
    await taking.until(lambda: taking.worker.hub.count == 0)


async def test_an_idle_stream_that_was_taken_over_is_small(taking: Here) -> None:
    """Python's own memory of 200 idle streams; the bound is loose, the benchmark measures the process."""
    warm = [await connect(taking) for _ in range(20)]
    for each in warm:
        await each.until("hello")
    await taking.until(lambda: not taking.worker.tasks)
    socks = []
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(200):
        sock = socket.create_connection(("127.0.0.1", taking.port))
        sock.setblocking(False)
        socks.append(sock)
        sock.send(b"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\n\r\n")
        await asyncio.sleep(0)
    await taking.until(lambda: taking.worker.hub.count == 220)
    await taking.until(lambda: not taking.worker.tasks)
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / 200
    tracemalloc.stop()
    for sock in socks:
        sock.close()
    for one in warm:
        one.close()
    assert each < 6000, f"{each:.0f} bytes a stream"


async def test_the_kernel_is_told_not_to_hide_a_client_that_does_not_read(taking: Here) -> None:
    one = await connect(taking)
    await one.until("hello")
    (stream,) = taking.worker.hub.streams()
    sock = stream.out.get_extra_info("socket")  # type: ignore[attr-defined]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * takeover.SEND_BUFFER
    one.close()


async def test_a_drain_that_takes_too_long_cuts_the_stream(taking: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "DRAIN_S", 0.2)
    one = await connect(taking)
    await one.until("hello")
    cursor = one.seen[-1].last_id
    one.close()
    for _ in range(400):
        say(taking, "x" * 16_000)
    stuck = await connect(taking, f"/v1/events?cursor={cursor}", receive_buffer=4096)
    await taking.until(lambda: taking.worker.hub.closed_slow == 1)
    await taking.until(lambda: not taking.worker.tasks)
    assert taking.worker.hub.count == 0
    stuck.close()


# --- pieces ---------------------------------------------------------------------------------------------------------


def test_the_head_ends_the_connection_with_the_body() -> None:
    head = head_bytes({"Content-Type": "text/event-stream"})
    assert head == b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("missing", ["_task_handler", "_manager"])
async def test_an_aiohttp_that_works_otherwise_is_left_alone(taking: Here, missing: str) -> None:
    seen: list[Any] = []
    real = takeover.take_over

    def spy(request: Any, connection: Any, head: bytes) -> Any:
        handler = request.protocol
        stand_in = SimpleNamespace(**{name: 1 for name in ("_task_handler", "_manager") if name != missing})
        seen.append(can_take_over(SimpleNamespace(protocol=stand_in, transport=request.transport)))  # type: ignore[arg-type]
        assert can_take_over(request)
        assert isinstance(handler, RequestHandler)
        return real(request, connection, head)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dchat_server.http.events.take_over", spy)
        one = await connect(taking)
        await one.until("hello")
    assert seen == [False]
    one.close()


async def test_a_stream_whose_person_was_signed_out_while_it_opened_is_refused(here: Here) -> None:
    """Between the look at the token and the seat lies more than one round trip."""
    reached = asyncio.Event()
    go_on = asyncio.Event()
    joined = here.worker.opener._rooms.joined

    async def slow(user: str) -> list[str]:
        reached.set()
        await go_on.wait()
        return await joined(user)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(here.worker.opener._rooms, "joined", slow)
        opening = asyncio.create_task(here.call("GET", "/v1/events"))
        await reached.wait()
        here.names.revoked.add("digest of ada")
        go_on.set()
        status, problem = await opening
    assert (status, problem["code"]) == (401, "unauthorized")
    assert here.worker.hub.count == 0


async def test_a_stream_the_hub_closed_while_it_opened_is_refused_rather_than_left_hanging(here: Here) -> None:
    reached = asyncio.Event()
    go_on = asyncio.Event()
    joined = here.worker.opener._rooms.joined

    async def slow(user: str) -> list[str]:
        reached.set()
        await go_on.wait()
        return await joined(user)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(here.worker.opener._rooms, "joined", slow)
        opening = asyncio.create_task(here.call("GET", "/v1/events"))
        await reached.wait()
        (stream,) = here.worker.hub.streams()
        here.worker.hub.close(stream, wire.control_frame("reconnect", after_ms=0))
        assert stream.mode == CLOSED
        go_on.set()
        status, problem = await asyncio.wait_for(opening, 5)
    assert status == 503
    assert problem["code"] in ("draining", "backend_unavailable")
    assert here.worker.hub.count == 0
