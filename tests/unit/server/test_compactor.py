"""The duty: which rooms are taken forward when, and what it says of those that cannot be."""

from __future__ import annotations

import asyncio

import pytest

from dchat_server import compactor as module
from dchat_server.compactor import Compactor
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import TermOver
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.hot_logs import MemoryHotLog


class Bench:
    def __init__(self) -> None:
        self.archive, self.hot, self.term = MemoryArchive(), MemoryHotLog(), FakeTerm(5)
        self.compactor = self.new()

    def new(self, **options: int) -> Compactor:
        return Compactor(self.archive, self.hot, interval_s=1.0, keep=10, **options)

    def fill(self, room: str, messages: int) -> None:
        self.hot.create(room)
        for at in range(messages):
            self.hot.say(room, "ada", f"{room} {at}")

    async def watermark(self, room: str) -> int:
        found = await self.archive.rooms([room])
        return found[room].watermark if room in found else 0


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.archive.raise_fence(5)
    return bench


async def test_a_round_takes_all_rooms_of_all_shards_forward(bench: Bench) -> None:
    for at in range(30):
        bench.fill(f"room-{at}", at)
    assert not await bench.compactor.round(bench.term)
    assert not bench.hot.dirty
    assert [await bench.watermark(f"room-{at}") for at in range(30)] == [at + 2 for at in range(30)]
    facts = bench.compactor.facts()
    assert facts["state"] == "ok"
    assert facts["archived"]["messages"] == sum(range(30))
    assert facts["archived"]["commits"] == 30
    assert (facts["lag_messages"], facts["lag_s"], facts["rooms_dirty"]) == (0, 0.0, 0)
    assert sum(row["chunks"] for row in facts["chunk_sizes"]) == facts["archived"]["chunks"]


async def test_a_huge_backlog_does_not_keep_the_others_waiting(bench: Bench) -> None:
    compactor = bench.new(side_by_side=1)
    bench.fill("huge", 10_000)
    for at in range(5):
        bench.fill(f"small-{at}", 3)
    seen: list[tuple[str, int]] = []
    advance = compactor._steps.advance

    async def advance_noted(term: FakeTerm, room: str) -> object:
        progress = await advance(term, room)
        seen.append((room, progress.watermark))
        return progress

    compactor._steps.advance = advance_noted  # type: ignore[assignment,method-assign]
    while await compactor.round(bench.term):
        pass
    assert [room for room, _ in seen[:6]] == ["huge", *(f"small-{at}" for at in range(5))]
    assert [room for room, _ in seen[6:]] == ["huge"] * 5
    assert await bench.watermark("huge") == 10_002


async def test_one_room_in_trouble_stops_nobody_and_is_tried_again(bench: Bench) -> None:
    bench.fill("bad", 5)
    bench.fill("good", 5)
    lost = bench.hot.rooms["bad"].events.pop(0)
    await bench.compactor.round(bench.term)
    facts = bench.compactor.facts()
    assert facts["state"] == "stuck_rooms"
    assert [(row["room"], row["reason"]) for row in facts["stuck"]] == [("bad", "trimmed")]
    assert facts["rooms_stuck"] == 1
    assert "bad" in facts["last_error"]
    assert facts["slowest"][0]["room"] == "bad"
    assert await bench.watermark("good") == 7
    calls = len(bench.hot.calls)
    await bench.compactor.round(bench.term)  # not at once
    assert "read" not in bench.hot.calls[calls:]
    bench.hot.rooms["bad"].events.insert(0, lost)
    bench.compactor._troubles["bad"].until = 0.0
    await bench.compactor.round(bench.term)
    assert await bench.watermark("bad") == 7
    assert bench.compactor.facts()["state"] == "ok"


async def test_rooms_in_trouble_do_not_hide_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROOMS", 16)
    for at in range(40):
        bench.fill(f"bad-{at}", 1)
        bench.hot.rooms[f"bad-{at}"].events.pop(0)
    bench.fill("good", 1)
    for _ in range(20):
        await bench.compactor.round(bench.term)
    assert await bench.watermark("good") == 3
    assert bench.compactor.facts()["rooms_stuck"] == 40


async def test_troubled_rooms_that_are_remembered_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TROUBLED", 3)
    for at in range(10):
        bench.fill(f"bad-{at}", 1)
        bench.hot.rooms[f"bad-{at}"].events.pop(0)
    await bench.compactor.round(bench.term)
    assert len(bench.compactor._troubles) == 3


@pytest.mark.parametrize(
    ("error", "where", "state"),
    [
        (ArchiveUnavailable, "before commit", "archive_unavailable"),
        (ArchiveUnavailable, "after commit", "archive_unavailable"),
        (ArchiveUnavailable, "before rooms", "archive_unavailable"),
        (BackendUnavailable, "before read", "log_unavailable"),
        (BackendUnavailable, "before dirty_rooms", "log_unavailable"),
        (BackendUnavailable, "after archived", "log_unavailable"),
    ],
)
async def test_all_wait_while_archive_or_log_are_away_and_go_on_then(
    bench: Bench, error: type[Exception], where: str, state: str
) -> None:
    for at in range(20):
        bench.fill(f"room-{at}", 3)

    async def fail(step: str) -> None:
        if step == where:
            raise error

    side = bench.archive if error is ArchiveUnavailable else bench.hot
    side.gate = fail
    calls = len(side.calls)
    await bench.compactor.round(bench.term)
    assert bench.compactor.facts()["state"] == state
    assert len(side.calls) - calls <= 30  # it did not ask for each room
    assert 0.1 <= bench.compactor._pause_s(True) <= 10
    side.gate = None
    for _ in range(3):
        await bench.compactor.round(bench.term)
    assert bench.compactor.facts()["state"] == "ok"
    assert not bench.hot.dirty
    assert [await bench.watermark(f"room-{at}") for at in range(20)] == [5] * 20


async def test_a_mistake_of_ours_in_one_room_is_that_room_s(bench: Bench) -> None:
    bench.fill("bad", 1)
    bench.hot.append("bad", "edit", sender="ada")  # names no target
    bench.fill("good", 1)
    await bench.compactor.round(bench.term)
    assert await bench.watermark("good") == 3
    assert bench.compactor.facts()["stuck"][0]["reason"] == "failed"


async def test_rooms_whose_log_lost_archived_events_wait_for_being_restored(bench: Bench) -> None:
    bench.fill("lobby", 5)
    await bench.compactor.round(bench.term)
    bench.hot.lose_tail("lobby", 2)
    bench.hot.dirty["lobby"] = 1
    await bench.compactor.round(bench.term)
    assert bench.compactor.facts()["stuck"][0]["reason"] == "behind"


@pytest.mark.parametrize("end", [Fenced, TermOver])
async def test_the_end_of_the_term_ends_the_duty(bench: Bench, end: type[Exception]) -> None:
    bench.fill("lobby", 5)
    if end is Fenced:
        await bench.archive.raise_fence(6)
    else:
        bench.term.end()
    with pytest.raises(end):
        await asyncio.wait_for(bench.compactor.run(bench.term), 30)
    assert bench.compactor.facts()["state"] == "waiting"
    assert await bench.watermark("lobby") == 0


async def test_it_runs_until_cancelled_and_may_run_again(bench: Bench) -> None:
    for term in (1, 2):
        bench.fill(f"room-{term}", 5)
        task = asyncio.create_task(bench.compactor.run(bench.term))
        async with asyncio.timeout(30):
            while bench.hot.dirty:
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await bench.watermark(f"room-{term}") == 7
    assert len(asyncio.all_tasks()) == 1


async def test_lag_says_how_far_the_slowest_rooms_are_behind(bench: Bench) -> None:
    for room, messages in (("old", 5000), ("new", 10)):
        bench.fill(room, messages)

    async def stop(step: str) -> None:
        if step == "before commit" and bench.archive.calls.count("commit") > 1:
            raise ArchiveUnavailable

    bench.archive.gate = stop
    compactor = bench.new(side_by_side=1)
    await compactor.round(bench.term)
    facts = compactor.facts()
    assert facts["slowest"][0]["room"] == "old"
    assert facts["slowest"][0]["lag"] == facts["slowest"][0]["head"] - facts["slowest"][0]["watermark"] == 3002
    assert facts["lag_messages"] >= 3002
    assert facts["lag_s"] > 0
    assert facts["rooms_dirty"] == 2
