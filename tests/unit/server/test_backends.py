"""What a worker stands on: chosen by its settings, opened whatever is away, and closed again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dchat_server import backends
from dchat_server.adapters.dynamodb_archive import DynamoDbArchive
from dchat_server.adapters.local_leadership import LocalLeadership
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.sqlite_archive import FILE, SqliteArchive
from dchat_server.adapters.zookeeper import ZooKeeperLeadership
from dchat_server.backends import archive_for, leadership_for, opened
from dchat_server.config import Config
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.contract.servers import create, draft
from tests.harness.processes import eventually, free_port
from tests.redis_servers import redis_urls  # noqa: F401

SHARDS = 4


def settings(folder: Path, **more: str) -> Config:
    return Config.from_env({"DCHAT_DATA_DIR": str(folder), "DCHAT_SHARDS": str(SHARDS), **more})


@pytest.fixture
async def url(redis_urls: Callable[[str], str]) -> str:  # noqa: F811
    """An empty Redis."""
    await flush(redis_urls("redis"))
    return redis_urls("redis")


async def flush(url: str) -> None:
    nodes = RedisNodes(url, SHARDS)
    await nodes.start()
    await nodes.run(0, "FLUSHALL")
    await nodes.stop()


async def test_settings_choose_archive_and_election(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    assert isinstance(archive_for(plain), SqliteArchive)
    assert isinstance(leadership_for(plain, MemoryArchive(), Seen(0)), LocalLeadership)
    cloud = settings(
        tmp_path,
        DCHAT_DYNAMODB_TABLE="chat",
        DCHAT_DYNAMODB_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        DCHAT_ZOOKEEPER=f"127.0.0.1:{free_port()}/chat",
    )
    archive = archive_for(cloud)
    assert isinstance(archive, DynamoDbArchive)
    assert isinstance(leadership_for(cloud, archive, Seen(0)), ZooKeeperLeadership)
    await archive.stop()


class Seen:
    """Stands in for the log: the highest fence it saw."""

    def __init__(self, fence: int) -> None:
        self._fence = fence

    async def fence(self) -> int:
        return self._fence


@pytest.mark.parametrize(("archived", "logged"), [(41, 7), (7, 41)])
async def test_a_local_leaders_fence_is_behind_all_that_archive_and_log_have_seen(
    tmp_path: Path, archived: int, logged: int
) -> None:
    archive = MemoryArchive()
    await archive.raise_fence(archived)
    leadership = leadership_for(settings(tmp_path), archive, Seen(logged))  # type: ignore[arg-type]
    assert isinstance(leadership, LocalLeadership)
    assert await leadership._next_fence() == 42


async def test_all_of_it_works_together_and_old_messages_come_from_the_archive(tmp_path: Path, url: str) -> None:
    config = settings(tmp_path, DCHAT_COMPACT_KEEP="0", DCHAT_COMPACT_INTERVAL_S="0.1")
    async with opened(config, url, "w1") as parts:
        await create(parts.room_store, "lobby", "ada")
        for number in range(10):
            await parts.timeline.send("lobby", draft("ada", f"m{number}"))
        before = await parts.timeline.read("lobby", 0, 100)
        fence = await parts.archive.fence() + 1
        await parts.archive.raise_fence(fence)
        await parts.hot.raise_fence(fence)
        assert (tmp_path / FILE).exists()

        while await parts.compactor.round(FakeTerm(fence)):
            pass
        edge = await parts.timeline.edge("lobby")
        assert edge is not None
        assert edge.watermark == edge.head == edge.first - 1
        assert await parts.timeline.read("lobby", 0, 100) == before
        assert set(parts.leader.facts()["duties"]) >= {"compactor", "keeper", "walk", "retention", "reaper"}
    # A worker that comes later, when Redis has lost everything, finds it all.
    await flush(url)
    async with opened(config, url, "w2") as parts:
        assert await parts.hot.behind() == list(range(SHARDS))
        assert await parts.room_store.role("ada", "lobby") == ("public", "owner")
        assert await parts.timeline.read("lobby", 0, 100) == before


async def test_an_archive_that_is_away_keeps_no_worker_of_an_old_cluster_from_starting(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(tmp_path)
    async with opened(config, url, "w1") as parts:
        await create(parts.room_store, "lobby", "ada")
    monkeypatch.setattr(backends, "archive_for", lambda config: Away())
    monkeypatch.setattr(backends, "CHECK_S", 0.1)
    async with opened(config, url, "w2") as parts:
        await parts.timeline.send("lobby", draft("ada", "still here"))
        assert (await parts.timeline.read_back("lobby", None, 1))[0].type == "message"
        with pytest.raises(ArchiveUnavailable):
            await parts.archive.fence()


class Away(MemoryArchive):
    async def _pass(self, step: str) -> None:
        raise ArchiveUnavailable


async def test_another_clusters_archive_is_shut_and_its_log_lets_go_of_nothing(tmp_path: Path, url: str) -> None:
    async with opened(settings(tmp_path / "one"), url, "w1") as parts:
        await create(parts.room_store, "lobby", "ada")
        await eventually(lambda: bound(parts), "the first archive is known")
    async with opened(settings(tmp_path / "other"), url, "w2") as parts:
        await eventually(lambda: parts.archive.foreign, "the other one is refused")  # type: ignore[attr-defined]
        await parts.timeline.send("lobby", draft("ada", "hello"))
        for ask in (parts.archive.rooms(["lobby"]), parts.archive.raise_fence(1), parts.archive.fence()):
            with pytest.raises(ArchiveUnavailable, match="not the one"):
                await ask


async def bound(parts: backends.Backends) -> bool:
    return await parts.nodes.run(0, "HEXISTS", parts.nodes.keys.state(0), "archive") == 1


async def test_without_redis_there_is_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "START_S", 0.3)
    with pytest.raises(BackendUnavailable):
        async with opened(settings(tmp_path), f"redis://127.0.0.1:{free_port()}", "w1"):
            raise AssertionError("it opened")
