"""A server with a Redis of its own, killed outright together with it: its readers go on where they were."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.harness.crowd import Reader, Writer, run_of
from tests.harness.people import house
from tests.harness.processes import children, eventually
from tests.harness.redis import binary
from tests.harness.workers import Worker


@pytest.mark.parametrize(("kind", "workers"), [("redis", "1"), ("valkey", "2")])
async def test_readers_of_a_server_that_was_killed_with_its_redis_miss_nothing_and_see_no_gap(
    http: aiohttp.ClientSession, kind: str, workers: str
) -> None:
    # Without a redis-server on PATH the one that the package carries is taken.
    path = f"{Path(sys.executable).parent}:{Path(binary(kind)).parent}" if kind == "redis" else "/nowhere"
    server = Worker(None, 0, DCHAT_WORKERS=workers, PATH=path).start()
    try:
        people, (room,) = await house(http, [server.url], 3)
        heads, cursor = await people[0].sync()
        readers = [Reader(people[at % 3], cursor=cursor, starts=heads, seed=at).start() for at in range(6)]
        writers = [Writer(person, room, stubborn=at < 2, pause_s=0.002).start() for at, person in enumerate(people)]
        await asyncio.gather(*(reader.live.wait() for reader in readers))
        for _ in range(2):
            before = sum(writer.acknowledged for writer in writers)
            await eventually(
                lambda before=before: sum(writer.acknowledged for writer in writers) > before + 50, "people talk"
            )
            for pid in [server.pid, *children(server.pid)]:
                os.kill(pid, signal.SIGKILL)
            server.kill()
            server.start(wait=False)
            await eventually(server.is_ready, "the server is back", every_s=0.1)
        before = sum(writer.acknowledged for writer in writers)
        await eventually(lambda: sum(writer.acknowledged for writer in writers) > before + 50, "people talk again")
        found, final = await run_of(writers, readers, [room])
        assert found == []
        assert not any(reader.record.gaps() for reader in readers)
        assert all(reader.record.connections >= 3 for reader in readers)
        print(f"{sum(writer.acknowledged for writer in writers)} acknowledged over two kills, {final}")
    finally:
        server.close()
