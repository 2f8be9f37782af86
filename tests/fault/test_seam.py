"""History and streams, over log and archive, joined without a seam: while everything is archived, and whatever dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from dchat_server.adapters.sqlite_archive import FILE, SqliteArchive
from dchat_server.ports_archive import Archive
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.town import SHARDS, Town, Witness, town
from tests.harness.workers import Workers

KEEP = 5
FAST = {"DCHAT_COMPACT_INTERVAL_S": "0.1", "DCHAT_COMPACT_KEEP": str(KEEP)}


@asynccontextmanager
async def same_archive(workers: Workers) -> AsyncIterator[Archive]:
    """The workers' SQLite archive, as one more process has it."""
    archive = SqliteArchive(workers[0].folder / "data" / FILE, SHARDS)
    await archive.start()
    try:
        yield archive
    finally:
        await archive.stop()


async def settled(witness: Witness, town: Town) -> None:
    """Wait until all that was said is archived, and the log has let go of it."""

    async def archived() -> bool:
        sights = {sight.room: sight for sight in await witness.look()}
        return all(
            sights[room].watermark == head and sights[room].first > head - KEEP for room, head in town.heads.items()
        )

    await eventually(archived, "everything is archived", every_s=0.1)


async def test_history_and_streams_are_one_while_everything_is_archived_behind_their_backs(
    http: aiohttp.ClientSession,
) -> None:
    with RedisServer(aof="always") as redis, Workers(redis.url, 3, **FAST) as workers:
        async with same_archive(workers) as archive:
            here = await town(http, workers.urls)
            try:
                witness = Witness(redis.port, archive, here.rooms)
                await here.start(witness=witness)
                for _ in range(3):
                    await here.run(1.5)
                await here.quiet()
                await settled(witness, here)
                assert await here.end() == []
                assert not any(reader.record.gaps() for reader in here.readers)
                assert here.done > 300
                assert len(here.walks) > 20
                assert any(sight.first > 1 and sight.watermark < here.heads[sight.room] for sight in witness.sights)
                print(here)
            finally:
                here.close()
