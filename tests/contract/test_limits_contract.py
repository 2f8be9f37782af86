"""What every Buckets and every SlotStore must do: in memory, on Redis, on Valkey. Times are real; bounds are wide."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from dchat_server.adapters.redis_limits import RedisLimits
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_slots import RedisSlotStore
from dchat_server.limits import RateLimiter
from dchat_server.ports_accounts import Buckets, SlotStore
from dchat_server.slots import Slots
from tests.in_memory import MemoryBuckets, MemorySlotStore
from tests.redis_servers import empty_nodes, redis_urls  # noqa: F401


@dataclass
class Setting:
    buckets: Buckets
    slots: SlotStore
    nodes: RedisNodes | None


@pytest_asyncio.fixture(params=["memory", "redis", "valkey"])
async def setting(request: pytest.FixtureRequest, redis_urls: Callable[[str], str]) -> AsyncIterator[Setting]:  # noqa: F811
    if request.param == "memory":
        yield Setting(MemoryBuckets(), MemorySlotStore(), None)
        return
    async with empty_nodes(redis_urls(request.param)) as nodes:
        yield Setting(RedisLimits(nodes), RedisSlotStore(nodes), nodes)


@pytest.fixture
def buckets(setting: Setting) -> Buckets:
    return setting.buckets


@pytest.fixture
def slots(setting: Setting) -> SlotStore:
    return setting.slots


async def test_a_full_bucket_gives_its_burst_and_says_when_there_is_more(buckets: Buckets) -> None:
    assert await buckets.take("ada", "x", 3, rate=0.1, burst=5) == (3, 0.0)
    granted, wait_s = await buckets.take("ada", "x", 3, rate=0.1, burst=5)
    assert granted == 2
    assert 9 < wait_s <= 10
    assert (await buckets.take("ada", "x", 1, rate=0.1, burst=5))[0] == 0


async def test_tokens_come_back_at_the_rate(buckets: Buckets) -> None:
    assert (await buckets.take("ada", "x", 9, rate=10, burst=2))[0] == 2
    granted, wait_s = await buckets.take("ada", "x", 1, rate=10, burst=2)
    assert granted == 0
    await asyncio.sleep(wait_s)
    assert (await buckets.take("ada", "x", 1, rate=10, burst=2))[0] == 1
    await asyncio.sleep(1)
    assert (await buckets.take("ada", "x", 9, rate=10, burst=2))[0] == 2  # never more than the burst


async def test_subjects_and_purposes_have_buckets_of_their_own(buckets: Buckets) -> None:
    for subject, what in (("ada", "x"), ("bob", "x"), ("ada", "y"), ("ada", "login:2001:db8::")):
        assert (await buckets.take(subject, what, 1, rate=0.01, burst=1))[0] == 1
        assert (await buckets.take(subject, what, 1, rate=0.01, burst=1))[0] == 0


async def test_at_once_no_more_than_the_burst_gets_through(buckets: Buckets) -> None:
    answers = await asyncio.gather(*(buckets.take("ada", "x", 1, rate=0.01, burst=7) for _ in range(40)))
    assert sum(granted for granted, _ in answers) == 7


async def test_spare_tokens_come_on_top_of_what_was_asked_for_up_to_half_the_burst(buckets: Buckets) -> None:
    granted = [(await buckets.take("ada", "x", 1, rate=0.01, burst=20, spare=4))[0] for _ in range(5)]
    assert granted == [5, 5, 3, 1, 1]
    assert (await buckets.take("ada", "x", 9, rate=0.01, burst=20, spare=4))[0] == 5


async def test_a_bucket_forgets_itself_when_it_is_full(setting: Setting) -> None:
    if setting.nodes is None:
        pytest.skip("nothing expires in memory")
    await setting.buckets.take("ada", "x", 5, rate=1000, burst=5)
    key = setting.nodes.keys.limit("ada", "x")
    left = await setting.nodes.run(setting.nodes.keys.shard("ada"), "PTTL", key)
    assert 0 < left <= 2005


async def test_a_server_whose_clock_was_set_back_blocks_nobody_for_long(setting: Setting) -> None:
    if setting.nodes is None:
        pytest.skip("there is one clock in memory")
    keys, shard = setting.nodes.keys, setting.nodes.keys.shard("ada")
    ahead = int((time.time() + 3600) * 1e6)
    await setting.nodes.run(shard, "SET", keys.limit("ada", "x"), f"{ahead} {ahead // 1_000_000} 0 0")
    granted, wait_s = await setting.buckets.take("ada", "x", 1, rate=10, burst=5)
    assert granted == 0
    assert wait_s <= 0.1


async def test_workers_together_let_through_what_one_bucket_would(buckets: Buckets) -> None:
    """Four workers, each with leases, all hammered for two seconds."""
    rate, burst = 20.0, 10
    workers = [RateLimiter(buckets, "x", rate=rate, burst=burst) for _ in range(4)]
    passed: list[float] = []

    async def hammer(worker: RateLimiter, ends: float) -> None:
        while time.monotonic() < ends:
            if worker.try_spend("ada") or (await worker.spend("ada"))[0]:
                passed.append(time.monotonic())
            await asyncio.sleep(0.003)

    start = time.monotonic()
    await asyncio.gather(*(hammer(worker, start + 2) for worker in workers))
    assert len(passed) <= burst + rate * (max(passed) - start) + 1
    assert len(passed) >= (burst + rate * 2) * 0.6


async def test_streams_are_counted_over_all_workers(slots: SlotStore) -> None:
    assert await slots.hold("ada", "w1", 1, 3)
    assert await slots.hold("ada", "w2", 1, 3)
    assert await slots.hold("ada", "w1", 2, 3)
    assert not await slots.hold("ada", "w2", 2, 3)
    assert await slots.hold("bob", "w2", 2, 3)
    assert await slots.hold("ada", "w1", 2, 3)  # a repeat counts nothing twice
    await slots.set_counts("w1", {"ada": 0})
    assert await slots.hold("ada", "w2", 3, 3)
    assert not await slots.hold("ada", "w1", 1, 3)


async def test_counts_are_set_for_many_users_at_once(slots: SlotStore) -> None:
    await slots.set_counts("w1", {f"u{n}": 2 for n in range(1000)})
    assert not await slots.hold("u999", "w2", 1, 2)
    assert await slots.hold("u999", "w2", 1, 3)


async def test_who_is_there_is_known_on_all_workers(slots: SlotStore) -> None:
    names = [f"u{n}" for n in range(50)]
    assert await slots.present(names) == set()
    assert await slots.present([]) == set()
    await slots.set_counts("w1", dict.fromkeys(names[:20], 1))
    await slots.hold("u0", "w2", 2, 5)
    await slots.set_counts("w1", dict.fromkeys(names[:10], 0))
    assert await slots.present(names) == {"u0", *names[10:20]}, "who went from one worker may be on another"
    await slots.set_counts("w2", {"u0": 0})
    assert await slots.present(["u0", "u10"]) == {"u10"}


async def test_what_a_dead_worker_said_does_not_count_for_long(
    slots: SlotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("dchat_server.adapters.redis_slots", "tests.in_memory"):
        monkeypatch.setattr(f"{module}.HOLD_S", 0.2)
    assert await slots.hold("ada", "w1", 2, 3)
    assert await slots.hold("ada", "w2", 1, 3)
    assert not await slots.hold("ada", "w2", 2, 3)
    await asyncio.sleep(0.12)
    await slots.set_counts("w2", {"ada": 1, "bob": 1})  # w2 lives, w1 says nothing more
    await asyncio.sleep(0.12)
    assert await slots.hold("ada", "w2", 3, 3)
    assert not await slots.hold("ada", "w3", 1, 3)
    await slots.hold("cat", "w1", 1, 3)
    await asyncio.sleep(0.22)
    assert await slots.present(["cat"]) == set()


async def test_workers_together_open_no_more_streams_than_a_user_may_have(slots: SlotStore) -> None:
    workers = [Slots(slots, f"w{n}", 5) for n in range(3)]
    answers = await asyncio.gather(*(workers[n % 3].acquire("ada") for n in range(30)))
    assert answers.count(True) == 5
    for worker, got in zip(workers * 10, answers, strict=True):
        if got:
            worker.release("ada")
    await asyncio.sleep(0.2)
    assert [await workers[0].acquire("ada") for _ in range(6)] == [True] * 5 + [False]
    for worker in workers:
        await worker.stop()
    assert await slots.hold("ada", "w9", 5, 5)
