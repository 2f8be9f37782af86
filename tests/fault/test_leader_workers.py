"""Workers that elect their leader by ZooKeeper, under load: whoever leads may die or freeze at any moment,
ZooKeeper may go away; the history stays one with the streams, and the archive with itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from dchat_server.adapters.dynamodb_archive import DynamoDbArchive
from dchat_server.adapters.sqlite_archive import FILE, SqliteArchive
from dchat_server.ports_archive import Archive
from tests.harness.dynamodb import Dynamo, dynamodb
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.town import SHARDS, Town, Witness, town, writes_of
from tests.harness.workers import Worker, Workers
from tests.harness.zookeeper import Ensemble, shared_ensemble

SESSION_S = 1.0
SETTINGS = {
    "DCHAT_COMPACT_INTERVAL_S": "0.1",
    "DCHAT_COMPACT_KEEP": "5",
    "DCHAT_ZOOKEEPER_SESSION_S": str(SESSION_S),
}


@pytest.fixture(scope="module")
def zookeeper() -> Iterator[Ensemble]:
    with shared_ensemble(1) as made:
        yield made


@pytest.fixture(scope="module")
def three(zookeeper: Ensemble) -> Iterator[tuple[RedisServer, Workers]]:
    with RedisServer(aof="always") as redis, Workers(redis.url, 3, DCHAT_ZOOKEEPER=zookeeper.hosts, **SETTINGS) as made:
        yield redis, made


@asynccontextmanager
async def busy(
    http: aiohttp.ClientSession,
    redis: RedisServer,
    workers: Workers,
    archive: Archive | None = None,
    *,
    pause_s: float = 0.01,
) -> AsyncIterator[Town]:
    """A town that is at it, with a witness; judged when the block ends well."""
    await asyncio.to_thread(workers.revive)
    archive = archive or SqliteArchive(workers[0].folder / "data" / FILE, SHARDS)
    await archive.start()
    here = await town(http, workers.urls)
    try:
        await here.start(pause_s=pause_s, witness=Witness(redis.port, archive, here.rooms))
        await here.run(1.0)
        yield here
        await archives(here, "the archive goes on")
        assert await here.end() == []
        assert not any(reader.record.gaps() for reader in here.readers)
        assert len(here.walks) > 10
        print(here)
    finally:
        here.close()
        await archive.stop()


def watermarks(here: Town) -> int:
    """The sum of the rooms' watermarks, as the witness saw them last."""
    assert here.witness is not None
    return sum({sight.room: sight.watermark for sight in here.witness.sights}.values())


async def archives(here: Town, what: str) -> None:
    """Wait until the archive has come on a good deal."""
    before = watermarks(here)
    await eventually(lambda: watermarks(here) > before + 20, what)


async def test_when_the_leader_is_killed_another_archives_on_and_nobody_sees_a_seam(
    http: aiohttp.ClientSession, three: tuple[RedisServer, Workers]
) -> None:
    redis, workers = three
    async with busy(http, redis, workers) as here:
        leader = await workers.leader()
        for _ in range(2):
            await archives(here, "the leader archives")
            leader.kill()
            killed, leader = leader, await workers.leader(other_than=leader)
            await archives(here, "the next leader archives")
            killed.start(wait=False)
            await eventually(killed.is_ready, "the killed worker is back", every_s=0.1)
            await here.mark()


async def test_what_a_leader_that_was_frozen_for_three_sessions_writes_when_it_wakes_is_refused(
    http: aiohttp.ClientSession, zookeeper: Ensemble
) -> None:
    """Its last write is on the way when it freezes, and arrives when another leads."""
    async with dynamodb() as dynamo:
        with RedisServer(aof="always") as redis:
            settings = {
                **SETTINGS,
                "DCHAT_ZOOKEEPER": f"{zookeeper.hosts}/frozen",
                "DCHAT_DYNAMODB_TABLE": dynamo.table,
                "DCHAT_DYNAMODB_ENDPOINT": dynamo.endpoint,
            }
            dynamo.outcomes = []
            workers = await asyncio.to_thread(lambda: Workers(redis.url, 3, **settings))
            archive = DynamoDbArchive(dynamo.table, SHARDS, endpoint=dynamo.endpoint)
            try:
                async with busy(http, redis, workers, archive, pause_s=0.03) as here:
                    leader = await workers.leader()
                    await archives(here, "the leader archives")
                    fence = int(leader.metric("dchat_leader_fence"))
                    here.leave(leader.url)
                    calls = dynamo.calls["TransactWriteItems"]
                    dynamo.faults.slow(4 * SESSION_S * 1000, "TransactWriteItems")
                    await eventually(lambda: dynamo.calls["TransactWriteItems"] > calls, "a write is on the way")
                    freeze(leader)
                    dynamo.faults.clear()
                    try:
                        other = await workers.leader(other_than=leader)
                        await archives(here, "the next leader archives")
                        await eventually(lambda: refused(dynamo, fence), "the late write is refused")
                        await asyncio.sleep(SESSION_S)
                    finally:
                        thaw(leader)
                    # Whether it hears the refusal, or sees first that its term is over, is a matter of chance.
                    await eventually(lambda: leader.is_ready() and not leader.leads, "it leads no more", every_s=0.1)
                    here.come_back(leader.url)
                    assert other.leads
                    await archives(here, "the next leader archives on")
                    here.writes = lambda: writes_of(dynamo.outcomes or ())
            finally:
                workers.close()


def refused(dynamo: Dynamo, fence: int) -> bool:
    return any(write.fence == fence and not write.accepted for write in writes_of(dynamo.outcomes or ()))


def freeze(worker: Worker) -> None:
    assert worker.process is not None
    worker.process.freeze()


def thaw(worker: Worker) -> None:
    assert worker.process is not None
    worker.process.thaw()


async def test_without_zookeeper_nobody_leads_and_everything_else_goes_on(
    http: aiohttp.ClientSession, zookeeper: Ensemble, three: tuple[RedisServer, Workers]
) -> None:
    redis, workers = three
    async with busy(http, redis, workers) as here:
        await workers.leader()
        await archives(here, "the leader archives")
        zookeeper.nodes[0].kill()
        try:
            await eventually(lambda: not any(worker.leads for worker in workers), "nobody leads", every_s=0.1)
            still, done = watermarks(here), here.done
            await here.run(2.0)
            assert watermarks(here) <= still + 60  # what was under way
            later = watermarks(here)
            await eventually(lambda: here.done > done + 50, "chat goes on")
            assert [worker.status("/readyz") for worker in workers] == [200, 200, 200]
            await here.run(1.0)
            assert watermarks(here) == later
        finally:
            zookeeper.nodes[0].start()
            await zookeeper.ready()
        await workers.leader()
        await archives(here, "it is archived on")
