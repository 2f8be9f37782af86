"""Everything together, as people run it: workers are replaced one after another, one is added, ZooKeeper loses its
leader and Redis is killed, while people read and write all the time. Nothing is lost or doubled, and nobody is shown
an error for what was planned."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import aiohttp
import pytest

from dchat_server.adapters.dynamodb_archive import DynamoDbArchive
from dchat_server.rebalance import LEAST, OVER
from tests.harness.checker import seams
from tests.harness.clients import ClientReader, ClientSender, PlainSender, Visitor
from tests.harness.crowd import Reader, run_of
from tests.harness.people import Person, house
from tests.harness.processes import eventually
from tests.harness.stack import TABLE, Stack
from tests.harness.town import SHARDS, Witness
from tests.harness.workers import Worker

DRAIN_S, REBALANCE_S = 8.0, 3.0
STREAMS = 720
"""So many that each of three workers has over 50 too many once there is a fourth."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    settings = {
        "DCHAT_DRAIN_S": str(DRAIN_S),
        "DCHAT_REBALANCE_S": str(REBALANCE_S),
        "DCHAT_ZOOKEEPER_SESSION_S": "2",
        "DCHAT_COMPACT_INTERVAL_S": "0.5",
        "DCHAT_COMPACT_KEEP": "20",
    }
    with Stack(**settings) as stack:
        yield stack


@dataclass
class Load:
    """People at work, all through the balancer, and a witness who looks at log and archive."""

    people: Sequence[Person]
    rooms: Sequence[str]
    readers: Sequence[ClientReader]
    clients: Sequence[ClientSender]
    plain: Sequence[PlainSender]
    visitor: Visitor
    witness: Witness
    archive: DynamoDbArchive

    async def watermark(self) -> int:
        """Up to where the first room is archived."""
        record = (await self.archive.rooms(self.rooms[:1])).get(self.rooms[0])
        return record.watermark if record else 0

    async def archived_further(self) -> None:
        """Wait until what is said from now on is being archived."""
        head = self.readers[0].heads[self.rooms[0]]

        async def further() -> bool:
            return await self.watermark() > head

        await eventually(further, "compaction goes on", every_s=0.2)

    async def end(self) -> list[str]:
        """Everybody stops; everything that must not be, over all that was seen."""
        await self.visitor.stop()
        await self.witness.stop()
        self.witness.sights += await self.witness.look()
        found, _ = await run_of([*self.clients, *self.plain], self.readers, self.rooms)
        return found + seams({}, sights=self.witness.sights)

    def shown(self) -> dict[str, Counter[str]]:
        """Every trouble that anybody was shown, by who."""
        everybody = {
            "readers": self.readers,
            "senders by the client": self.clients,
            "plain senders": self.plain,
            "visitors": [self.visitor],
        }
        return {who: Counter(text for each in all_ for text in each.trouble) for who, all_ in everybody.items()}


@asynccontextmanager
async def load(stack: Stack, http: aiohttp.ClientSession) -> AsyncIterator[Load]:
    """24 people in three rooms with their streams open, 6 who send by the client, 6 who send plainly."""
    people, rooms = await house(http, [stack.url], 24, rooms=3)
    heads, cursor = await people[0].sync()
    archive = DynamoDbArchive(TABLE, SHARDS, endpoint=stack.dynamodb.endpoint)
    await archive.start()
    here = Load(
        people,
        rooms,
        [ClientReader(person, heads, cursor) for person in people],
        [ClientSender(person, rooms[at % 3], 0.3) for at, person in enumerate(people[:6])],
        [PlainSender(person, rooms[at % 3], 0.3) for at, person in enumerate(people[6:12])],
        Visitor(people[12], 0.2),
        Witness(stack.redis.port, archive, rooms, every_s=1.0),
        archive,
    )
    try:
        for reader in here.readers:
            await asyncio.wait_for(reader.live.wait(), 60)
        yield here
    finally:
        for each in (*here.readers, *here.clients, *here.plain, here.visitor):
            each.task.cancel()
        await here.witness.stop()
        await archive.stop()


async def replaced(stack: Stack, worker: Worker) -> None:
    """A worker is told to end, and once it has, another one takes its place."""
    assert worker.process is not None
    worker.process.terminate()
    assert await asyncio.to_thread(worker.process.wait) == 0
    worker.start(wait=False)
    await eventually(lambda: asyncio.to_thread(worker.is_ready), f"{worker.name} is back", every_s=0.1)
    await asyncio.to_thread(stack.balancer.wait_for, worker, "UP")


async def balanced(stack: Stack, state: str) -> None:
    """Wait until the balancer sees all workers UP or DOWN."""
    for worker in stack.workers:
        await asyncio.to_thread(stack.balancer.wait_for, worker, state)


def said(worker: Worker, event: str) -> list[dict[str, str]]:
    """What a worker logged under this name."""
    lines = (json.loads(line) for line in worker.log.splitlines() if line[:1] == "{")
    return [line for line in lines if line.get("event") == event]


async def test_a_rolling_restart_shows_nobody_an_error_and_loses_repeats_and_reorders_nothing(
    stack: Stack, http: aiohttp.ClientSession
) -> None:
    async with load(stack, http) as here:
        await here.archived_further()
        began = []
        for worker in stack.workers:
            began.append(time.monotonic())
            await replaced(stack, worker)
            # It handed over when it was told to end, not when it had ended.
            assert "stopped" not in {line["why"] for line in said(worker, "term_over")}
        await here.archived_further()
        assert await here.end() == []
        shown, returns = here.shown(), returned(here.readers, began)
        spread = Counter(int(each / (DRAIN_S / 10)) for each in returns)
        print(
            f"{sum(each.done for each in (*here.clients, *here.plain))} stored, {here.visitor.visits} visits; "
            f"{len(returns)} streams came back, by tenths of the drain {dict(sorted(spread.items()))}"
        )
        assert shown == {who: Counter() for who in shown}
        assert not any(reader.record.gaps() for reader in here.readers)
        assert max(spread.values()) < 0.8 * len(returns), "nearly all came back at once"


def returned(readers: Sequence[ClientReader], began: Sequence[float]) -> list[float]:
    """When readers had a stream again that were asked to come back: seconds after the first was asked in that drain."""
    moves = [
        (asked, min((at for at in reader.opened if at > asked), default=float("inf")))
        for reader in readers
        for asked in reader.asked
    ]
    found = []
    for start, end in pairwise([*began, float("inf")]):
        drain = [(asked, opened) for asked, opened in moves if start <= asked < end]
        found += [opened - min(drain)[0] for _, opened in drain]
    return found


async def test_streams_are_even_again_soon_after_a_scale_out_and_nobody_misses_anything_by_it(
    stack: Stack, http: aiohttp.ClientSession
) -> None:
    people, (room,) = await house(http, [stack.url], 3)
    heads, cursor = await people[0].sync()
    readers = [Reader(people[at % 3], cursor=cursor, starts=heads, seed=at).start() for at in range(STREAMS)]
    for reader in readers:
        await asyncio.wait_for(reader.live.wait(), 60)
    sender = PlainSender(people[0], room, 0.3)
    added = stack.places[3].start(wait=False)
    await eventually(lambda: asyncio.to_thread(added.is_ready), "the added worker is ready", every_s=0.1)
    began = time.monotonic()
    before = await streams(stack)

    async def even() -> bool:
        counts = await streams(stack)
        mean = sum(counts) / len(counts)
        most = max(mean * OVER, mean + LEAST)
        return len(counts) == 4 and sum(counts) > 0.9 * STREAMS and max(counts) <= most and min(counts) > mean / 2

    await eventually(even, "the streams are even", every_s=0.2)
    took_s = time.monotonic() - began
    found, _ = await run_of([sender], readers, [room])
    assert found == []
    assert sender.trouble == []
    # A machine that is busy with 720 streams may keep one waiting too long for its connection; it tries again.
    assert {end for reader in readers for end in reader.ends} - {"ConnectionTimeoutError"} == {"closed"}
    asked = sum(len(reader.told("reconnect")) for reader in readers)
    print(f"{before} became {await streams(stack)} within {took_s:.1f} s; {asked} were moved")


async def streams(stack: Stack) -> list[int]:
    """How many each worker has open."""
    told = await asyncio.gather(*(asyncio.to_thread(worker.metric, "dchat_streams") for worker in stack.workers))
    return [int(each) for each in told]


async def test_a_killed_redis_and_a_killed_leader_of_the_ensemble_lose_and_repeat_nothing(
    stack: Stack, http: aiohttp.ClientSession
) -> None:
    async with load(stack, http) as here:
        stack.zookeeper.leader.kill()
        await here.archived_further()
        stack.redis.process.kill()
        await balanced(stack, "DOWN")
        stack.redis.restart()
        await balanced(stack, "UP")
        await here.archived_further()
        assert await here.end() == []
        print({who: dict(trouble) for who, trouble in here.shown().items()})
        assert not any(reader.record.gaps() for reader in here.readers)
