"""Counting a user's open streams over all workers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from dchat_server.errors import BackendUnavailable
from dchat_server.slots import Slots
from tests.in_memory import MemorySlotStore


def said(store: MemorySlotStore, user: str) -> dict[str, int]:
    return {worker: count for worker, (count, _) in store.held.get(user, {}).items() if count}


async def test_a_place_given_back_can_be_taken_again_at_once_here_and_soon_elsewhere() -> None:
    store = MemorySlotStore()
    here, there = Slots(store, "w1", 2), Slots(store, "w2", 2)
    assert [await here.acquire("ada") for _ in range(3)] == [True, True, False]
    here.release("ada")
    assert await here.acquire("ada")
    here.release("ada")
    await asyncio.sleep(0.05)
    assert await there.acquire("ada")
    assert not await there.acquire("ada")
    assert said(store, "ada") == {"w1": 1, "w2": 1}


async def test_what_happened_in_whatever_order_the_store_ends_up_with_the_true_count() -> None:
    class Jumbled(MemorySlotStore):
        """Answers late, and acts before or after it waits, in turn."""

        turn = 0

        async def hold(self, user: str, worker: str, count: int, limit: int) -> bool:
            self.turn += 1
            if self.turn % 2:
                await asyncio.sleep(0.003 * (self.turn % 5))
                return await super().hold(user, worker, count, limit)
            answer = await super().hold(user, worker, count, limit)
            await asyncio.sleep(0.004 * (self.turn % 3))
            return answer

    store = Jumbled()
    slots = Slots(store, "w1", 1000)

    async def come_and_go(number: int) -> None:
        await asyncio.sleep(0.001 * (number % 7))
        assert await slots.acquire("ada")
        await asyncio.sleep(0.002 * (number % 11))
        if number % 3:
            slots.release("ada")

    await asyncio.gather(*(come_and_go(number) for number in range(60)))
    await asyncio.sleep(0.2)
    assert said(store, "ada") == {"w1": 20}


async def test_what_was_said_before_and_arrives_after_is_put_right() -> None:
    gate = asyncio.Event()

    class Late(MemorySlotStore):
        async def set_counts(self, worker: str, counts: Mapping[str, int]) -> None:
            await gate.wait()
            await super().set_counts(worker, counts)

    store = Late()
    slots = Slots(store, "w1", 5)
    for _ in range(2):
        await slots.acquire("ada")
    slots.release("ada")
    await asyncio.sleep(0.03)  # "one" is on its way
    await slots.acquire("ada")
    assert said(store, "ada") == {"w1": 2}
    gate.set()
    await asyncio.sleep(0.05)
    assert said(store, "ada") == {"w1": 2}


async def test_a_stream_that_ends_while_another_is_counted_is_put_right() -> None:
    gate = asyncio.Event()

    class Slow(MemorySlotStore):
        async def hold(self, user: str, worker: str, count: int, limit: int) -> bool:
            answer = await super().hold(user, worker, count, limit)
            if limit and count == 2:
                await gate.wait()
            return answer

    store = Slow()
    slots = Slots(store, "w1", 5)
    await slots.acquire("ada")
    second = asyncio.create_task(slots.acquire("ada"))
    await asyncio.sleep(0)
    slots.release("ada")
    await asyncio.sleep(0.03)
    gate.set()
    assert await second
    await asyncio.sleep(0.03)
    assert said(store, "ada") == {"w1": 1}


async def test_a_place_whose_answer_was_lost_is_given_back() -> None:
    class Deaf(MemorySlotStore):
        async def hold(self, user: str, worker: str, count: int, limit: int) -> bool:
            await super().hold(user, worker, count, limit)
            if limit:
                raise BackendUnavailable
            return True

    store = Deaf()
    slots = Slots(store, "w1", 5)
    with pytest.raises(BackendUnavailable):
        await slots.acquire("ada")
    await asyncio.sleep(0.05)
    assert said(store, "ada") == {}


async def test_a_refresh_says_everything_again() -> None:
    store = MemorySlotStore()
    slots = Slots(store, "w1", 5)
    for user in ("ada", "ada", "bob"):
        await slots.acquire(user)
    store.held.clear()  # the server was wiped
    await slots.refresh()
    assert said(store, "ada") == {"w1": 2}
    assert said(store, "bob") == {"w1": 1}


async def test_a_worker_that_stops_gives_everything_back() -> None:
    store = MemorySlotStore()
    slots = Slots(store, "w1", 5)
    await slots.acquire("ada")
    await slots.acquire("bob")
    slots.release("bob")
    await slots.stop()
    assert said(store, "ada") == said(store, "bob") == {}


async def test_without_a_limit_nobody_waits_and_who_is_there_is_told_all_the_same() -> None:
    class Away(MemorySlotStore):
        async def hold(self, user: str, worker: str, count: int, limit: int) -> bool:
            assert not limit
            return await super().hold(user, worker, count, limit)

    store = Away()
    slots = Slots(store, "w1", 0)
    assert all([await slots.acquire("ada") for _ in range(100)])
    assert store.held == {}
    slots.release("ada")
    await asyncio.sleep(0.05)
    assert said(store, "ada") == {"w1": 99}
    await slots.stop()
    assert said(store, "ada") == {}


async def test_who_has_a_stream_on_any_worker_is_online() -> None:
    store = MemorySlotStore()
    here, there = Slots(store, "w1", 5), Slots(store, "w2", 0)
    await here.acquire("ada")
    await there.acquire("bob")
    assert await there.online(["bob"]) == {"bob"}, "one's own streams are known at once"
    await asyncio.sleep(0.05)
    for slots in (here, there):
        assert await slots.online(["ada", "bob", "cat"]) == {"ada", "bob"}
    await there.acquire("ada")
    here.release("ada")
    there.release("bob")
    await asyncio.sleep(0.05)
    for slots in (here, there):
        assert await slots.online(["ada", "bob", "cat"]) == {"ada"}
