"""Rooms where nothing happens leave Redis, and only those."""

from __future__ import annotations

from typing import Any

import pytest

from dchat_server.compactor import Compactor
from dchat_server.idle import DAY_MS, Idle
from dchat_server.ports_archive import Fenced
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.hot_logs import MemoryHotLog


class Setting:
    """Three rooms, archived; `now_ms` is the worker's clock."""

    async def begin(self, days: float = 7.0) -> Setting:
        self.archive, self.hot, self.term = MemoryArchive(), MemoryHotLog(), FakeTerm(3)
        await self.archive.raise_fence(3)
        await self.hot.raise_fence(3)
        for room in ("hall", "den", "attic"):
            self.hot.create(room, "ada")
            for number in range(5):
                self.hot.say(room, "ada", f"{number}")
        self.compactor = Compactor(self.archive, self.hot, interval_s=1.0, keep=1000)
        while await self.compactor.round(self.term):
            pass
        self.now_ms = self.hot.clock_ms
        self.idle = Idle(self.archive, self.hot, days=days, rooms_per_s=1e6, wall=lambda: self.now_ms / 1000)
        return self

    def lengths(self) -> dict[str, int]:
        return {name: len(room.events) for name, room in self.hot.rooms.items()}


async def test_a_room_leaves_after_its_days_and_not_before() -> None:
    here = await Setting().begin()
    before = here.lengths()
    await here.idle.walk(here.term)
    assert here.lengths() == before
    here.now_ms += int(7.1 * DAY_MS)
    await here.idle.walk(here.term)
    assert here.lengths() == dict.fromkeys(before, 0)
    assert here.idle.facts() == {"taken_out": 3, "error": ""}


async def test_where_somebody_speaks_again_what_is_not_archived_stays() -> None:
    here = await Setting().begin()
    here.now_ms += int(7.1 * DAY_MS)
    await here.idle.walk(here.term)
    here.hot.say("hall", "ada", "anybody?")
    await here.idle.walk(here.term)
    assert here.lengths()["hall"] == 1
    assert here.idle.facts()["taken_out"] == 3


async def test_no_room_is_taken_out_twice_and_none_at_all_with_0_days() -> None:
    here = await Setting().begin()
    here.now_ms += int(7.1 * DAY_MS)
    await here.idle.walk(here.term)
    calls = len(here.hot.calls)
    await here.idle.walk(here.term)
    assert [call for call in here.hot.calls[calls:] if call == "archived"] == []
    never = await Setting().begin(days=0)
    never.now_ms += 10_000 * DAY_MS
    await never.idle.walk(never.term)
    assert all(never.lengths().values())


async def test_an_old_leader_takes_nothing_out() -> None:
    here = await Setting().begin()
    here.now_ms += int(7.1 * DAY_MS)
    before: dict[str, Any] = here.lengths()
    await here.hot.raise_fence(4)
    with pytest.raises(Fenced):
        await here.idle.walk(here.term)
    assert here.lengths() == before
