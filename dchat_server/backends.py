"""What a worker stands on, opened and closed together: the message log in Redis, the archive, the election.

With `app.py` the only file that knows every adapter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import structlog

from dchat_server.adapters.guarded_archive import GuardedArchive
from dchat_server.adapters.local_leadership import LocalLeadership
from dchat_server.adapters.metered_archive import MeteredArchive
from dchat_server.adapters.redis_accounts import RedisAccountStore
from dchat_server.adapters.redis_board import RedisBoard
from dchat_server.adapters.redis_durability import Durability
from dchat_server.adapters.redis_hot import RedisHotLog
from dchat_server.adapters.redis_missing import Missing
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_restore import RedisRestorer
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.adapters.redis_traced import TracedLanes
from dchat_server.compactor import Compactor
from dchat_server.config import Config
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.idle import Idle
from dchat_server.keeper import Keeper
from dchat_server.leader import Duty, Leader
from dchat_server.ports_archive import Archive
from dchat_server.ports_cluster import Leadership
from dchat_server.reaper import Reaper
from dchat_server.rebalance import Balance, Rebalance
from dchat_server.restore import Recall, Walk, marks
from dchat_server.retention import Retention
from dchat_server.timeline import Timeline
from dchat_server.tracing import Tracing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dchat_server.adapters.zookeeper_client import Access

log = structlog.get_logger("dchat.worker")

START_S = 60.0
ARCHIVE_START_S = 5.0
CHECK_S = 2.0


@dataclass
class Backends:
    """The parts a worker is made of, by port."""

    nodes: RedisNodes
    room_log: RedisRoomLog
    timeline: Timeline
    room_store: RedisRoomStore
    account_store: RedisAccountStore
    archive: Archive
    hot: RedisHotLog
    restorer: RedisRestorer
    board: RedisBoard
    leadership: Leadership
    leader: Leader
    compactor: Compactor
    retention: Retention
    keeper: Keeper
    rebalance: Rebalance
    walk: Walk
    metered: MeteredArchive
    """The archive underneath, timed."""


@asynccontextmanager
async def opened(
    config: Config, redis_url: str, worker: str, tracing: Tracing | None = None
) -> AsyncIterator[Backends]:
    """All of it, running but for the election, which app.py starts when the worker can be reached.

    Redis must answer within `START_S`; the archive may be away, for then only old messages and compaction wait. Raises
    BackendUnavailable, ClusterMismatch.
    """
    metered = MeteredArchive(archive_for(config))
    archive = GuardedArchive(metered.as_archive())
    durability = Durability(config.ack, always_synced=config.embedded)
    nodes = RedisNodes(
        redis_url,
        config.shards,
        durability=durability,
        marks=lambda: marks(archive, config.shards),
        seal=lambda shard, epoch: archive.seal(shard, epoch),
    )
    checking: asyncio.Task[None] | None = None
    try:
        await _archive_answers(archive)
        await _log_answers(nodes)
        parts = _put_together(config, nodes, archive, metered, worker, tracing)
        checking = asyncio.create_task(archive.check_later(parts.hot.bind))
        await asyncio.wait([checking], timeout=CHECK_S)
        yield parts
        await parts.room_log.settle()
    finally:
        if checking is not None:
            checking.cancel()
        await nodes.stop()
        await archive.stop()


def archive_for(config: Config) -> Archive:
    """The archive these settings ask for."""
    if config.dynamodb_table is None:
        from dchat_server.adapters.sqlite_archive import SqliteArchive

        return SqliteArchive(config.data_dir / "archive.sqlite3", config.shards)
    from dchat_server.adapters.dynamodb_archive import DynamoDbArchive  # boto3 takes a while to import

    return DynamoDbArchive(
        config.dynamodb_table, config.shards, endpoint=config.dynamodb_endpoint, region=config.dynamodb_region
    )


def leadership_for(config: Config, archive: Archive, hot: RedisHotLog) -> Leadership:
    """The election these settings ask for."""
    if config.zookeeper is None:

        async def next_fence() -> int:
            # The archive may be an older copy, or the log: whatever either has seen is to be outranked.
            return max(await archive.fence(), await hot.fence()) + 1

        return LocalLeadership(config.data_dir / "leader.lock", next_fence)
    from dchat_server.adapters.zookeeper import ZooKeeperLeadership

    return ZooKeeperLeadership(access_for(config))


def access_for(config: Config) -> Access:
    """How to get at the ZooKeeper these settings name."""
    from dchat_server.adapters.zookeeper_client import Access

    assert config.zookeeper is not None
    paths = (config.zookeeper_ca, config.zookeeper_cert, config.zookeeper_key)
    ca, cert, key = (None if path is None else str(path) for path in paths)
    return Access(
        config.zookeeper,
        config.zookeeper_session_s,
        digest=config.zookeeper_auth,
        sasl=config.zookeeper_sasl,
        ca=ca,
        cert=cert,
        key=key,
        generation=config.zookeeper_generation,
    )


class _Bound:
    """The message log's fence, raised only by a leader whose archive belongs with that log."""

    def __init__(self, hot: RedisHotLog, archive: GuardedArchive) -> None:
        self._hot, self._archive = hot, archive

    async def raise_fence(self, fence: int) -> None:
        await self._archive.check(self._hot.bind)
        await self._hot.raise_fence(fence)


def _put_together(
    config: Config,
    nodes: RedisNodes,
    guarded: GuardedArchive,
    metered: MeteredArchive,
    worker: str,
    tracing: Tracing | None,
) -> Backends:
    archive = cast(Archive, guarded)
    people = RedisPeople(nodes)
    recall = Recall(archive, people)
    restorer = RedisRestorer(nodes, archive, recall)
    missing = Missing(nodes, restorer.restore_rooms)
    room_log = RedisRoomLog(nodes, missing, TracedLanes(nodes, tracing) if tracing is not None else None)
    hot = RedisHotLog(nodes, room_log, people)
    board = RedisBoard(nodes)
    leadership = leadership_for(config, archive, hot)
    compactor = Compactor(archive, hot, interval_s=config.compact_interval_s, keep=config.compact_keep)
    retention = Retention(archive, hot, days=config.retention_days, keep=config.compact_keep)
    keeper = Keeper(hot, archive, restorer)
    walk = Walk(hot, archive, restorer, people)
    idle = Idle(archive, hot, days=config.idle_days)
    rebalance = Rebalance(leadership, board, Balance(patience_s=config.rebalance_s))

    reaper = Reaper(
        worker,
        leadership,
        board,
        {
            "archive": compactor.facts,
            "people": keeper.facts,
            "restore": walk.facts,
            "retention": retention.facts,
            "idle": idle.facts,
            "leader": lambda: leader.facts(),
        },
    )
    duties: list[Duty] = [compactor, keeper, walk, retention, idle, reaper]
    if config.rebalance_s:
        duties.append(rebalance)
    leader = Leader(leadership, archive, _Bound(hot, guarded), duties)
    return Backends(
        nodes,
        room_log,
        Timeline(room_log, archive),
        RedisRoomStore(nodes, missing, recall.settle),
        RedisAccountStore(nodes, recall),
        archive,
        hot,
        restorer,
        board,
        leadership,
        leader,
        compactor,
        retention,
        keeper,
        rebalance,
        walk,
        metered,
    )


async def _archive_answers(archive: GuardedArchive) -> None:
    """Make the archive ready, unless it is away for now."""
    try:
        async with asyncio.timeout(ARCHIVE_START_S):
            await archive.start()
    except (ArchiveUnavailable, TimeoutError) as error:
        log.warning("archive_away", error=str(error))


async def _log_answers(nodes: RedisNodes) -> None:
    """Wait for Redis for `START_S`: in a cluster that comes up, workers may well be first."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            await nodes.start()
            return
        except BackendUnavailable as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting_for_redis", error=str(error.__cause__ or error))
            await asyncio.sleep(0.2)
