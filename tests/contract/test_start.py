"""A worker that starts on a log in which much has happened."""

from __future__ import annotations

from dchat_server.app import running_worker
from dchat_server.config import Config
from dchat_server.http.worker import WORKER
from tests.contract.servers import RedisPlace, create, draft
from tests.harness.redis import RedisServer


async def test_a_new_worker_has_read_the_backlog_before_it_takes_streams() -> None:
    """Else the first to come would be told old messages as news."""
    with RedisServer() as server:
        place = RedisPlace(server.url)
        ports = await place.worker()
        await create(ports.store, "hall", "ada")
        for _ in range(3):
            await ports.log.send_many("hall", [draft("ada", "old") for _ in range(250)])
        await place.close()
        config = Config.from_env({"DCHAT_SHARDS": "4", "DCHAT_REDIS_URL": server.url})
        async with running_worker(config, server.url, "w1") as app:
            hub = app[WORKER].hub
            shard = hub.shard_of("hall")
            assert hub.cursor.positions[shard].offset == 752
            kept = hub.windows[shard].since(2)
            assert kept is not None
            assert len(kept) == 750
