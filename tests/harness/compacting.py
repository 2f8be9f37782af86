"""The leader's compaction in a process of its own, over a real Redis and a SQLite file, that kills itself where it is
told to. Run as a program; tests start it with `command`.

usage: python -m tests.harness.compacting REDIS_URL SQLITE_FILE SHARDS KEEP FENCE FAIL_POINT TIMES
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from dchat_server.adapters.redis_hot import RedisHotLog
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.sqlite_archive import SqliteArchive
from dchat_server.compactor import Compactor
from tests.cluster_fakes import FakeTerm


def command(
    url: str, file: Path, *, shards: int, keep: int, fence: int, fail_point: str = "-", times: int = 1
) -> list[str]:
    """How to start it: it dies by SIGKILL when it reaches `fail_point` for the n-th time, and ends with 0 when nothing
    is left to archive."""
    arguments = (url, file, shards, keep, fence, fail_point, times)
    return [sys.executable, "-m", "tests.harness.compacting", *map(str, arguments)]


async def main(url: str, file: str, shards: str, keep: str, fence: str, fail_point: str, times: str) -> None:
    left = int(times)

    def fail(name: str) -> None:
        nonlocal left
        left -= name == fail_point
        if name == fail_point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    nodes = RedisNodes(url, int(shards))
    await nodes.start()
    archive = SqliteArchive(Path(file), int(shards))
    await archive.start()
    hot = RedisHotLog(nodes, RedisRoomLog(nodes), RedisPeople(nodes))
    await archive.raise_fence(int(fence))
    await hot.raise_fence(int(fence))
    compactor = Compactor(archive, hot, interval_s=1, keep=int(keep), fail_point=fail)
    while await compactor.round(FakeTerm(int(fence))) or await hot.dirty_count():
        assert not compactor.facts()["stuck"], compactor.facts()
    await archive.stop()
    await nodes.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
