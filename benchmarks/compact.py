"""The leader's compaction and nothing else, in a process of its own: archives everything that waits, then says what it
took.

usage: python -m benchmarks.compact REDIS_PORT sqlite FILE
       python -m benchmarks.compact REDIS_PORT dynamodb ENDPOINT
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.backlog import SHARDS, opened
from benchmarks.load import WrongResult
from dchat_server.adapters.redis_hot import RedisHotLog
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.compactor import Compactor
from dchat_server.ports_archive import Archive

TABLE = "dchat"
KEEP = 1000


class Forever:
    """A term that does not end."""

    fence = 1
    valid = True

    def check(self) -> None:
        return None

    async def over(self) -> None:
        await asyncio.Event().wait()


def archive_for(kind: str, where: str) -> Archive:
    if kind == "sqlite":
        from dchat_server.adapters.sqlite_archive import SqliteArchive

        return SqliteArchive(Path(where), SHARDS)
    from dchat_server.adapters.dynamodb_archive import DynamoDbArchive

    return DynamoDbArchive(TABLE, SHARDS, endpoint=where)


async def compact(port: int, archive: Archive) -> dict[str, Any]:
    """Rounds until there is nothing left, with an archive that was started; times in seconds. Raises WrongResult when
    a room does not go on."""
    async with opened(port) as nodes:
        hot = RedisHotLog(nodes, RedisRoomLog(nodes), RedisPeople(nodes))
        await archive.raise_fence(Forever.fence)
        await hot.raise_fence(Forever.fence)
        compactor = Compactor(archive, hot, interval_s=5, keep=KEEP)
        began, cpu = time.perf_counter(), time.process_time()
        while await compactor.round(Forever()) or await hot.dirty_count():
            if stuck := compactor.facts()["stuck"]:
                raise WrongResult(f"compaction does not go on: {stuck}")
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        return {"seconds": seconds, "cpu_s": used, **compactor.facts()}


async def _run(port: int, archive: Archive) -> dict[str, Any]:
    await archive.start()
    idle_kb = _peak_kb()
    found = await compact(port, archive)
    await archive.stop()
    return {**found, "idle_kb": idle_kb, "peak_kb": _peak_kb()}


def _peak_kb() -> int:
    """The most memory this program has held. Not ru_maxrss, which begins with what the parent held."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def main() -> None:
    port, kind, where = sys.argv[1:]
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    print(json.dumps(run(_run(int(port), archive_for(kind, where)))))


if __name__ == "__main__":
    main()
