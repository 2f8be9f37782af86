"""The bare connection to Redis: replies in order, errors as values, and an end for every wait."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dchat_server.adapters.redis_keys import Keys
from dchat_server.adapters.redis_locator import client_to, locator_for, one_client, parse
from dchat_server.adapters.redis_wire import RedisWire
from dchat_server.errors import BackendUnavailable

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakeRedis:
    """Says what a test wants after redis-py's greeting, which it answers with OK."""

    def __init__(self, *said: bytes) -> None:
        self.said, self.heard = list(said), b""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> RedisWire:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        client = client_to((host, port), {}, connections=1)
        self.wire = await RedisWire.open(client.connection_pool.make_connection())
        return self.wire

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.wire.close()
        self._server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                greetings = data.count(b"SETINFO")
                if greetings:
                    writer.write(b"+OK\r\n" * greetings)
                    continue
                self.heard += data
                for part in self.said:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
                self.said = []
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def pong() -> AsyncIterator[RedisWire]:
    async with FakeRedis(b"+PONG\r\n") as wire:
        yield wire


async def test_a_command_is_answered_with_its_raw_reply(pong: RedisWire) -> None:
    assert await pong.call([("PING",)], 5) == [b"PONG"]


async def test_replies_that_come_a_byte_at_a_time_are_put_together_in_order() -> None:
    raw = b"*2\r\n$1\r\na\r\n:7\r\n-ERR no such thing\r\n$-1\r\n"
    async with FakeRedis(*(raw[at : at + 1] for at in range(len(raw)))) as wire:
        first, second, third = await wire.call([("A",), ("B", 1), ("C", b"x", 2.5)], 20)
    assert first == [b"a", 7]
    assert isinstance(second, ResponseError)
    assert third is None


async def test_calls_of_several_tasks_each_get_their_own_replies() -> None:
    async with FakeRedis(b":1\r\n:2\r\n:3\r\n") as wire:
        assert await asyncio.gather(wire.call([("A",)], 20), wire.call([("B",), ("C",)], 20)) == [[1], [2, 3]]


async def test_a_server_that_says_nothing_ends_the_wait_and_the_connection() -> None:
    async with FakeRedis() as wire:
        with pytest.raises(RedisTimeoutError):
            await wire.call([("PING",)], 0.05)
        assert wire.closed
        with pytest.raises(RedisConnectionError):
            await wire.call([("PING",)], 5)


async def test_one_wait_that_is_too_long_ends_all_that_wait_behind_it() -> None:
    async with FakeRedis() as wire:
        outcomes = await asyncio.gather(wire.call([("A",)], 0.05), wire.call([("B",)], 60), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RedisTimeoutError, RedisTimeoutError]


async def test_a_server_that_falls_silent_after_it_has_answered_is_noticed_too() -> None:
    async with FakeRedis(b":1\r\n") as wire:
        assert await wire.call([("A",)], 2) == [1]
        await asyncio.sleep(0.5)
        began = time.monotonic()
        with pytest.raises(RedisTimeoutError):
            await wire.call([("B",)], 2)
        assert time.monotonic() - began >= 1.9


async def test_what_is_no_redis_protocol_ends_the_connection() -> None:
    async with FakeRedis(b"HTTP/1.1 400 Bad Request\r\n\r\n") as wire:
        with pytest.raises(RedisConnectionError):
            await wire.call([("PING",)], 20)
        assert wire.closed


async def test_a_caller_that_gives_up_does_not_shift_the_replies_of_others() -> None:
    async with FakeRedis(b":1\r\n:2\r\n") as wire:
        impatient = asyncio.ensure_future(wire.call([("A",)], 20))
        patient = asyncio.ensure_future(wire.call([("B",)], 20))
        await asyncio.sleep(0)
        impatient.cancel()
        assert await patient == [2]


async def test_the_connection_outlives_what_redis_py_kept_of_it(pong: RedisWire) -> None:
    gc.collect()  # a StreamWriter that nobody holds closes its transport
    await asyncio.sleep(0.01)
    assert await pong.call([("PING",)], 5) == [b"PONG"]


async def test_who_fails_to_take_a_reply_shifts_nobodys() -> None:
    def fail(outcome: object) -> None:
        raise ZeroDivisionError

    async with FakeRedis(b":1\r\n:2\r\n") as wire:
        wire.send([("A",)], 20, fail)
        assert await wire.call([("B",)], 20) == [2]
        assert not wire.closed


async def test_a_batch_that_cannot_be_written_is_told_by_raising_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def write(self, data: bytes) -> None:
            raise RuntimeError("the handler is closed")

        def abort(self) -> None:
            pass

    first: list[object] = []
    second: list[object] = []
    async with FakeRedis() as wire:
        wire.send([("A",)], 20, first.append)
        wire._transport.abort()
        monkeypatch.setattr(wire, "_transport", Broken())
        with pytest.raises(RedisConnectionError):
            wire.send([("B",)], 20, second.append)
        assert wire.closed
    assert ([type(outcome) for outcome in first], second) == ([RedisConnectionError], [])


async def test_those_who_wait_are_told_once_that_the_connection_has_ended_and_nobody_after_that() -> None:
    told: list[object] = []
    async with FakeRedis() as wire:
        wire.send([("A",)], 20, told.append)
        wire.close()
        wire.close()
        assert [type(outcome) for outcome in told] == [RedisConnectionError]
        with pytest.raises(RedisConnectionError):
            wire.send([("B",)], 20, told.append)
        assert len(told) == 1


@contextmanager
def resetting() -> Iterator[int]:
    """The port of a server that takes connections and resets each at once, as one does that is killed."""

    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = listening.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(20)


@pytest.mark.parametrize("step", ["wire", "question", "sentinel", "cluster"])
def test_a_connection_that_is_reset_while_it_signs_in_is_a_broken_one_and_no_mistake(step: str) -> None:
    """In a loop that is busy uvloop has noticed before redis-py writes its first word."""

    async def busy() -> None:
        while True:
            time.sleep(0.002)
            await asyncio.sleep(0)

    async def attempt(port: int) -> None:
        if step == "wire":
            await RedisWire.open(client_to(("127.0.0.1", port), {}).connection_pool.make_connection())
        elif step == "question":
            async with one_client(("127.0.0.1", port), {}) as client:
                await client.execute_command("PING")
        else:
            await locator_for(parse(f"redis+{step}://127.0.0.1:{port}/name"), Keys(1)).locate()

    async def attempts() -> set[type[BaseException]]:
        load = asyncio.ensure_future(busy())
        outcomes = [await asyncio.gather(attempt(port), return_exceptions=True) for _ in range(50)]
        load.cancel()
        return {type(outcome) for (outcome,) in outcomes}

    with resetting() as port, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for kind in runner.run(attempts()):
            assert issubclass(kind, (RedisError, OSError, BackendUnavailable))


@pytest.mark.parametrize("ended", ["for us", "for the server"])
async def test_a_connection_that_has_ended_while_it_was_handed_over_is_not_waited_for(ended: str) -> None:
    """Its end has been told to redis-py's protocol, and would be told to nobody again."""
    told: list[str] = []

    class Transport:
        def is_closing(self) -> bool:
            return ended == "for us"

        def abort(self) -> None:
            told.append("aborted")

    class Writer:
        transport = Transport()

    class Connection:
        _reader, _writer = asyncio.StreamReader(), Writer()

        async def connect(self) -> None:
            if ended == "for the server":
                self._reader.feed_eof()

    with pytest.raises(RedisConnectionError):
        await RedisWire.open(Connection())  # type: ignore[arg-type]
    assert told == ["aborted"]


@pytest.mark.parametrize(
    "mistake", [RuntimeError("the handler is closed"), InvalidResponse("HTTP/1.1 503"), KeyError("no keys of the role")]
)
async def test_whatever_goes_wrong_while_a_connection_is_made_is_a_broken_connection(mistake: Exception) -> None:
    class Connection:
        _reader = _writer = None

        async def connect(self) -> None:
            raise mistake

    with pytest.raises(RedisConnectionError):
        await RedisWire.open(Connection())  # type: ignore[arg-type]
    with pytest.raises(RedisConnectionError):
        async with one_client(("127.0.0.1", 1), {}):
            raise mistake


async def test_what_the_server_says_while_a_connection_is_made_is_left_as_it_is() -> None:
    with pytest.raises(ResponseError):
        async with one_client(("127.0.0.1", 1), {}):
            raise ResponseError("NOPERM")
