"""How a worker comes by its connections to Redis, and what it does without an archive that answers."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.exceptions import ResponseError

from dchat_server.adapters import redis_nodes
from dchat_server.adapters.redis_durability import Durability
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.errors import BackendUnavailable
from dchat_server.ports_archive import Mark
from tests.harness.redis import RedisServer


async def test_those_who_need_a_connection_share_the_wait_for_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, each would wait for as long as a reply may take."""
    monkeypatch.setattr(redis_nodes, "DEADLINE_S", 0.5)
    heard: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: heard.append(writer), "127.0.0.1", 0)
    nodes = RedisNodes(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", 1)
    try:
        nodes._layout = await nodes._locator.locate()
        began = time.monotonic()
        outcomes = await asyncio.gather(*(nodes.run(0, "PING") for _ in range(40)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {BackendUnavailable}
        assert time.monotonic() - began < 10  # 40 replies one after the other, on four lanes, are 20 s
        assert not nodes._connecting
    finally:
        await nodes.stop()
        for writer in heard:
            writer.transport.abort()
        server.close()


async def test_an_attempt_that_everybody_has_given_up_on_is_still_used_and_ended(shared_redis: RedisServer) -> None:
    nodes = RedisNodes(shared_redis.url, 1)
    nodes._layout = await nodes._locator.locate()
    impatient = asyncio.ensure_future(nodes.run(0, "PING"))
    await asyncio.sleep(0)
    (attempt,) = nodes._connecting.values()
    impatient.cancel()
    wire = await attempt
    assert list(nodes._wires.values()) == [wire]
    again = asyncio.ensure_future(nodes.run(0, "PING"))
    await asyncio.sleep(0)
    (attempt,) = nodes._connecting.values()
    await nodes.stop()
    assert wire.closed
    assert attempt.cancelled()
    await asyncio.gather(again, return_exceptions=True)


async def test_an_archive_that_says_nothing_keeps_no_worker_from_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs gives no error. What the archive said last is believed then; at a start, nothing is."""
    silent = False

    async def marks() -> dict[int, Mark]:
        if silent:
            await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(redis_nodes, "ARCHIVE_S", 0.2)
    with RedisServer(aof="always") as redis:
        nodes = RedisNodes(redis.url, 1, marks=marks)
        try:
            await nodes.start()
            before = nodes.state(0).epoch
            silent = True
            redis.restart()
            assert (await nodes.open_shard(0)).epoch > before
            redis.restart()
            other = RedisNodes(redis.url, 1, marks=marks)
            with pytest.raises(BackendUnavailable):
                await other.start()
            await other.stop()
        finally:
            await nodes.stop()


async def test_a_promise_that_the_server_cannot_keep_any_more_is_no_mistake_of_ours() -> None:
    """Somebody has switched off the file that `DCHAT_ACK=fsync` waits for, or a server without one was promoted."""
    with RedisServer(kind="valkey", aof="always") as redis:
        nodes = RedisNodes(redis.url, 1, durability=Durability("fsync"))
        try:
            await nodes.start()
            await nodes.load(0)
            command = nodes.fenced(0, "announce", "none", "ada", "{}")
            assert await nodes.write(0, [command])
            redis.ask("CONFIG", "SET", "appendonly", "no")
            with pytest.raises(BackendUnavailable):
                await nodes.write(0, [command])
            told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            nodes.begin_write(nodes.address(0), [command], told.set_result)
            assert isinstance(await told, BackendUnavailable)
            redis.ask("CONFIG", "SET", "appendonly", "yes")
            assert await nodes.write(0, [command])
        finally:
            await nodes.stop()


@pytest.mark.parametrize(
    "said",
    [
        "ERR Error running script: Script killed by user with SCRIPT KILL.",
        "ERR WAIT cannot be used with replica instances.",
    ],
)
def test_what_a_repeat_may_mend_is_unavailable(said: str) -> None:
    assert isinstance(redis_nodes._meant(ResponseError(said)), BackendUnavailable)
    assert isinstance(redis_nodes._meant(ResponseError("WRONGTYPE")), ResponseError)
