"""A shard begins an epoch only after it was sealed in the archive, whoever else does so at once and whatever is lost in
between: the epoch that holds is never one of which the archive would take nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.errors import ArchiveUnavailable
from dchat_server.restore import marks
from tests.archives import MemoryArchive
from tests.redis_servers import SHARDS, redis_url, redis_urls  # noqa: F401

SHARD = 1


class Workers:
    """Workers on one Redis and one archive; they end with the test."""

    def __init__(self, url: str) -> None:
        self.archive, self._url, self._all = MemoryArchive(), url, list[RedisNodes]()

    def worker(self) -> RedisNodes:
        nodes = RedisNodes(
            self._url, SHARDS, marks=lambda: marks(self.archive, SHARDS), seal=lambda *to: self.archive.seal(*to)
        )
        self._all.append(nodes)
        return nodes

    async def another_server(self, *, empty: bool = False) -> None:
        """The shard's server is a new one from here on, as after a failover; an empty one, as after a loss."""
        nodes = self._all[0]
        if empty:
            await nodes.run(SHARD, "FLUSHALL")
        else:
            await nodes.run(SHARD, "HSET", nodes.keys.state(SHARD), "run", "another server")

    async def sealed(self) -> int:
        return await self.archive.seal(SHARD, 0)

    async def close(self) -> None:
        for nodes in self._all:
            await nodes.stop()


@pytest_asyncio.fixture
async def crew(redis_url: str) -> AsyncIterator[Workers]:  # noqa: F811
    made = Workers(redis_url)
    first = RedisNodes(redis_url, SHARDS)
    await first.start()
    await first.run(0, "FLUSHALL")
    await first.stop()
    yield made
    await made.close()


async def test_an_epoch_begins_at_its_seal(crew: Workers) -> None:
    nodes = crew.worker()
    await nodes.start()
    assert nodes.state(SHARD).epoch == await crew.sealed()
    for _ in range(3):
        before = nodes.state(SHARD).epoch
        await crew.another_server()
        assert (await nodes.open_shard(SHARD)).epoch == await crew.sealed() == before + 1


@pytest.mark.parametrize("empty", [False, True])
async def test_workers_that_seal_at_once_agree_on_an_epoch_that_is_not_below(crew: Workers, empty: bool) -> None:
    """Each saw that there is an epoch to begin; one of them knows of a higher one, or its clock is ahead."""
    workers = [crew.worker() for _ in range(3)]
    for nodes in workers:
        await nodes.start()
    await crew.another_server(empty=empty)
    meeting = asyncio.Barrier(len(workers))
    seal, ahead = crew.archive.seal, iter((0, 7, 3))

    async def together(shard: int, epoch: int) -> int:
        if epoch:
            await meeting.wait()
            epoch += next(ahead)
        return await seal(shard, epoch)

    crew.archive.seal = together  # type: ignore[method-assign]
    await asyncio.gather(*(nodes.open_shard(SHARD) for nodes in workers))
    crew.archive.seal = seal  # type: ignore[method-assign]
    for nodes in workers:
        await nodes.open_shard(SHARD)
    epochs = {nodes.state(SHARD).epoch for nodes in workers}
    assert len(epochs) == 1
    assert epochs.pop() >= await crew.sealed()


async def test_a_worker_that_died_after_sealing_leaves_no_epoch_that_is_refused(crew: Workers) -> None:
    first = crew.worker()
    await first.start()
    await crew.archive.seal(SHARD, first.state(SHARD).epoch + 1000)
    await crew.another_server()
    assert (await first.open_shard(SHARD)).epoch == await crew.sealed()


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("answers", ["the seal's", "the marks' behind it"])
async def test_an_answer_that_is_lost_leaves_no_epoch_below_the_seal(
    crew: Workers, monkeypatch: pytest.MonkeyPatch, empty: bool, answers: str
) -> None:
    """The seal was made, and the worker cannot know. It goes on: an archive that is away stops nobody who chats."""
    nodes = crew.worker()
    await nodes.start()
    await crew.another_server(empty=empty)
    clock = count(nodes.state(SHARD).epoch + 500, 5)  # the archive takes its time
    monkeypatch.setattr("dchat_server.adapters.redis_nodes.time.time", lambda: float(next(clock)))
    sealing = False

    async def lose(step: str) -> None:
        nonlocal sealing
        if step == "before seal":
            sealing = True
        if sealing and step == ("after seal" if answers == "the seal's" else "before marks"):
            raise ArchiveUnavailable

    crew.archive.gate = lose
    state = await nodes.open_shard(SHARD)
    crew.archive.gate = None
    assert state.epoch >= await crew.sealed() > 0
