"""A worker that starts on a log in which much has happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat_server.adapters.redis_durability import Durability
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.app import running_worker
from dchat_server.config import Config
from dchat_server.errors import ClusterMismatch
from dchat_server.http.worker import WORKER
from tests.contract.servers import RedisPlace, create, draft
from tests.harness.redis import RedisServer


async def test_a_new_worker_has_read_the_backlog_before_it_takes_streams(tmp_path: Path) -> None:
    """Else the first to come would be told old messages as news."""
    with RedisServer() as server:
        place = RedisPlace(server.url)
        ports = await place.worker()
        await create(ports.store, "hall", "ada")
        for _ in range(3):
            await ports.log.send_many("hall", [draft("ada", "old") for _ in range(250)])
        await place.close()
        settings = {"DCHAT_SHARDS": "4", "DCHAT_REDIS_URL": server.url, "DCHAT_DATA_DIR": str(tmp_path)}
        config = Config.from_env(settings)
        async with running_worker(config, server.url, "w1") as app:
            hub = app[WORKER].hub
            shard = hub.shard_of("hall")
            assert hub.cursor.positions[shard].offset == 752
            kept = hub.windows[shard].since(2)
            assert kept is not None
            assert len(kept) == 750


WITHOUT_WAITAOF = ("--rename-command", "WAITAOF", "")
"""As Redis was before 7.2."""


async def test_where_redis_cannot_be_asked_for_the_disk_and_syncs_each_write_an_acknowledgement_needs_no_more() -> None:
    with RedisServer(kind="valkey", aof="always", options=WITHOUT_WAITAOF) as server:
        nodes = RedisNodes(server.url, 4, durability=Durability("fsync"))
        await nodes.start()
        await create(RedisRoomStore(nodes), "hall", "ada")
        assert len(await RedisRoomLog(nodes).send_many("hall", [draft("ada", "kept")])) == 1
        await nodes.stop()


async def test_a_redis_that_cannot_keep_the_promise_is_not_started_on() -> None:
    with RedisServer(kind="valkey", aof="everysec", options=WITHOUT_WAITAOF) as server:
        nodes = RedisNodes(server.url, 4, durability=Durability("fsync"))
        with pytest.raises(ClusterMismatch, match="appendfsync always"):
            await nodes.start()
        await nodes.stop()
