"""One room's step: what is archived, in which chunks, and what happens to older ones."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from dchat_server import compactor_reach, compactor_room, compactor_run
from dchat_server.archived import chunks_from, roster_at
from dchat_server.chunk import MAX_EVENTS, Row
from dchat_server.compactor_room import Progress, RoomSteps
from dchat_server.compactor_run import MAX_RUN_EVENTS, OPEN_BYTES, Stuck
from dchat_server.errors import ArchiveUnavailable
from dchat_server.fold import fold, present
from dchat_server.model import Event
from dchat_server.ports_archive import Conflict, Fenced, RoomChange, RoomRecord
from dchat_server.ports_cluster import TermOver
from dchat_server.wire import message_object
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.hot_logs import MemoryHotLog

ROOM = "lobby"


class Bench:
    """A room, an archive, and steps between them."""

    def __init__(self, keep: int = 50) -> None:
        self.archive, self.hot, self.term = MemoryArchive(), MemoryHotLog(), FakeTerm(5)
        self.keep = keep
        self.steps = self.new_steps()
        self.said: list[Event] = []
        self.hot.create(ROOM)

    def new_steps(self) -> RoomSteps:
        return RoomSteps(self.archive, self.hot, keep=self.keep)

    def talk(self, messages: int, text: str = "hello") -> list[Event]:
        return [self.hot.say(ROOM, "ada", f"{text} {at}") for at in range(messages)]

    async def step(self) -> Progress:
        return await self.steps.advance(self.term, ROOM)

    async def all_steps(self) -> int:
        for count in range(1, 200):
            if not (await self.step()).more:
                return count
        raise AssertionError("it never ends")

    async def record(self) -> RoomRecord:
        return (await self.archive.rooms([ROOM]))[ROOM]

    async def rows(self) -> list[Row]:
        record = await self.record()
        out: list[Row] = []
        async for _, rows in chunks_from(self.archive, ROOM, record.floor, record.watermark):
            out += rows
        return out


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.archive.raise_fence(5)
    return bench


async def test_a_run_is_archived_and_the_log_keeps_the_last_of_it(bench: Bench) -> None:
    bench.talk(500)
    everything = list(bench.hot.rooms[ROOM].events)
    progress = await bench.step()
    assert (progress.watermark, progress.head, progress.messages, progress.more) == (502, 502, 500, False)
    assert [row.event for row in await bench.rows()] == everything
    record = await bench.record()
    last = everything[-1]
    assert (record.watermark, record.messages, record.ts, record.offset) == (502, 500, last.ts, last.offset)
    assert record.facts["creator"] == "ada"
    assert bench.hot.rooms[ROOM].first == 502 - 50 + 1
    assert ROOM not in bench.hot.dirty
    assert (await roster_at(bench.archive, record)).posted == {"ada": (502, 500)}


async def test_a_large_backlog_is_worked_in_steps(bench: Bench) -> None:
    bench.talk(2 * MAX_RUN_EVENTS)
    progress = await bench.step()
    assert progress.watermark == MAX_RUN_EVENTS
    assert progress.more
    assert progress.since == bench.hot.dirty[ROOM] == bench.hot.rooms[ROOM].events[bench.keep].ts
    assert await bench.all_steps() == 2
    assert len(await bench.rows()) == 2 * MAX_RUN_EVENTS + 2


async def test_small_runs_fill_the_last_chunk_until_it_is_large_enough(bench: Bench) -> None:
    for _ in range(60):
        bench.talk(5, secrets.token_hex(20))
        await bench.step()
    chunks = await bench.archive.chunks(ROOM, 1, 1000)
    assert sum(chunk.last - chunk.first + 1 for chunk in chunks) == 302
    assert all(len(chunk.data) >= OPEN_BYTES or chunk.last - chunk.first + 1 == MAX_EVENTS for chunk in chunks[:-1])
    assert all(len(chunk.data) < 2 * OPEN_BYTES for chunk in chunks)
    assert (await bench.record()).tail == chunks[-1].first
    assert [row.event.seq for row in await bench.rows()] == list(range(1, 303))


async def test_huge_messages_stay_within_what_a_commit_may_have(bench: Bench) -> None:
    for _ in range(150):
        bench.talk(1, secrets.token_hex(30_000))
    assert await bench.all_steps() > 4
    assert [row.event.seq for row in await bench.rows()] == list(range(1, 153))


async def test_late_changes_reach_back_into_old_chunks_in_the_commit_that_passes_them(bench: Bench) -> None:
    first = bench.talk(1000)
    await bench.all_steps()
    before = {chunk.first: chunk for chunk in await bench.archive.chunks(ROOM, 1, 100)}
    bench.hot.edit(ROOM, "ada", first[0].seq, "changed")
    bench.hot.react(ROOM, "ada", first[300].seq, "+1")
    bench.hot.delete(ROOM, "ada", first[301].seq)
    bench.archive.calls.clear()
    await bench.step()
    assert bench.archive.calls.count("commit") == 1
    after = {chunk.first: chunk for chunk in await bench.archive.chunks(ROOM, 1, 100)}
    assert {at for at in before if before[at] != after[at]} == {1, 201, (await bench.record()).tail}
    rows = {row.event.seq: row for row in await bench.rows()}
    shown = [message_object(present(rows[each.seq])) for each in (first[0], first[300], first[301])]
    assert shown[0]["text"] == "changed"
    assert shown[1]["reactions"][0]["users"] == ["ada"]
    assert shown[2]["deleted"]


async def test_a_run_is_cut_before_it_touches_too_many_chunks(bench: Bench) -> None:
    first = bench.talk(200 * 60)
    await bench.all_steps()
    for each in first[::200]:
        bench.hot.edit(ROOM, "ada", each.seq, "changed")
    bench.archive.calls.clear()
    assert await bench.all_steps() == 3
    assert bench.archive.calls.count("commit") == 3
    rows = {row.event.seq: row for row in await bench.rows()}
    assert all(message_object(present(rows[each.seq]))["text"] == "changed" for each in first[::200])


async def test_a_deletion_scrubs_edits_in_more_chunks_than_a_step_may_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor_reach, "MAX_CHUNKS", 4)
    (target,) = bench.talk(1, "secret")
    for at in range(40):
        bench.talk(199)
        bench.hot.edit(ROOM, "ada", target.seq, f"secret {at}")
    await bench.all_steps()
    bench.hot.delete(ROOM, "ada", target.seq)
    watermark = (await bench.record()).watermark
    assert (await bench.step()).watermark == watermark
    assert (await bench.record()).version > 1
    await bench.all_steps()
    rows = await bench.rows()
    assert [row.event.seq for row in rows] == list(range(1, bench.hot.rooms[ROOM].head + 1))
    assert not [row for row in rows if b"secret" in row.event.body or "secret" in repr(row.state)]
    assert sum(b'"deleted":true' in row.event.body for row in rows) == 41


async def test_after_an_unclear_answer_the_record_tells_where_the_room_stands(bench: Bench) -> None:
    bench.talk(300)

    async def lose_answer(step: str) -> None:
        if step == "after commit":
            bench.archive.gate = None
            raise ArchiveUnavailable

    bench.archive.gate = lose_answer
    with pytest.raises(ArchiveUnavailable):
        await bench.step()
    progress = await bench.step()
    assert (progress.watermark, progress.events) == (302, 0)
    assert ROOM not in bench.hot.dirty
    assert (await bench.record()).version == 1


async def test_a_stale_record_is_refused_and_read_again(bench: Bench) -> None:
    bench.talk(10)
    await bench.step()
    bench.talk(10)
    record = await bench.record()
    await bench.archive.commit(5, RoomChange(replace(record, version=record.version + 1, commit="retention")))
    with pytest.raises(Conflict):
        await bench.step()
    assert (await bench.step()).watermark == 22
    assert [row.event.seq for row in await bench.rows()] == list(range(1, 23))


async def test_a_target_that_retention_has_just_taken_is_no_alarm(bench: Bench) -> None:
    bench.talk(500)
    await bench.step()
    bench.hot.edit(ROOM, "ada", 5, "changed")
    record = await bench.record()
    change = RoomChange(replace(record, version=record.version + 1, floor=201, commit="retention"), drop=[1])
    await bench.archive.commit(5, change)
    with pytest.raises(Conflict):
        await bench.step()
    assert (await bench.step()).watermark == 503


async def test_what_another_leader_archived_and_trimmed_is_no_alarm(bench: Bench) -> None:
    bench.talk(10)
    await bench.step()
    bench.talk(100)
    await bench.new_steps().advance(bench.term, ROOM)
    bench.talk(1)
    assert (await bench.step()).watermark == 113


async def test_a_leader_whose_term_is_over_writes_nothing(bench: Bench) -> None:
    bench.talk(10)
    bench.term.end()
    with pytest.raises(TermOver):
        await bench.step()
    bench.term = FakeTerm(4)
    with pytest.raises(Fenced):
        await bench.step()
    assert await bench.archive.rooms([ROOM]) == {}
    assert bench.hot.rooms[ROOM].watermark == 0


async def test_a_log_that_lost_what_is_archived_is_left_alone(bench: Bench) -> None:
    bench.talk(10)
    await bench.step()
    bench.hot.lose_tail(ROOM, 3)
    progress = await bench.step()
    assert progress.behind
    assert not progress.more


async def test_a_log_that_was_written_anew_from_before_the_watermark_is_stuck(bench: Bench) -> None:
    bench.talk(10)
    await bench.step()
    bench.hot.lose_tail(ROOM, 3)
    bench.talk(5)
    with pytest.raises(Stuck) as caught:
        await bench.step()
    assert caught.value.reason == "parted"


async def test_a_log_that_lost_what_is_not_archived_is_stuck(bench: Bench) -> None:
    bench.talk(10)
    await bench.step()
    bench.talk(60)
    del bench.hot.rooms[ROOM].events[:15]
    with pytest.raises(Stuck) as caught:
        await bench.step()
    assert caught.value.reason == "trimmed"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("seq", 9, "hole"), ("messages", 9, "disorder"), ("ts", 9, "disorder"), ("offset", 1, "disorder")],
)
async def test_what_does_not_go_on_from_the_archive_is_not_archived(
    bench: Bench, field: str, value: int, reason: str
) -> None:
    bench.talk(3)
    events = bench.hot.rooms[ROOM].events
    events[3] = events[3]._replace(**{field: value})
    with pytest.raises(Stuck) as caught:
        await bench.step()
    assert caught.value.reason == reason
    assert await bench.archive.rooms([ROOM]) == {}


async def test_new_epochs_are_in_the_record(bench: Bench) -> None:
    bench.talk(2)
    bench.hot.new_epoch()
    bench.talk(2)
    await bench.step()
    bench.hot.new_epoch()
    bench.talk(1)
    await bench.step()
    assert (await bench.record()).epochs == ((1000, 1), (1001, 5), (1002, 7))


async def test_the_roster_is_stored_when_people_come_and_when_it_is_old(bench: Bench) -> None:
    await bench.step()
    assert (await bench.record()).roster_at == 2
    bench.talk(400)
    await bench.step()
    assert (await bench.record()).roster_at == 2
    bench.talk(200)
    await bench.step()
    assert (await bench.record()).roster_at == 602
    bench.hot.member(ROOM, "bob", "join", "member")
    await bench.step()
    record = await bench.record()
    assert record.roster_at == 603
    bench.hot.say(ROOM, "bob", "hi @ada")
    await bench.step()
    roster = await roster_at(bench.archive, await bench.record())
    assert (await bench.record()).roster_at == 603
    assert roster.posted["bob"] == (604, 601)
    assert roster.mentions == {"ada": [604]}


async def test_a_large_roster_is_stored_seldom() -> None:
    known = compactor_run.Known(RoomRecord(ROOM, watermark=1000, roster_at=1000), None, roster_bytes=80_000)
    join = Event(ROOM, 1, 1001, "member", 1, b"}", 1, 1)
    assert not compactor_run.roster_due(known, [join])
    assert not compactor_run.roster_due(known, [join._replace(seq=10_000)])
    assert compactor_run.roster_due(known, [join._replace(seq=11_000)])


async def test_what_is_remembered_of_rooms_is_bounded() -> None:
    archive, hot = MemoryArchive(), MemoryHotLog()
    await archive.raise_fence(1)
    steps = RoomSteps(archive, hot, keep=0, max_known=3)
    for at in range(10):
        hot.create(f"room-{at}")
        await steps.advance(FakeTerm(1), f"room-{at}")
    assert len(steps._known) == 3


async def test_a_fold_of_everything_equals_many_small_steps(bench: Bench) -> None:
    for at in range(300):
        message = bench.hot.say(ROOM, "ada", f"text {at}")
        if at % 3 == 0:
            bench.hot.edit(ROOM, "ada", max(3, message.seq - at), f"edit {at}")
        if at % 5 == 0:
            bench.hot.react(ROOM, "ada", message.seq, "x")
        if at % 50 == 49:
            bench.hot.delete(ROOM, "ada", message.seq - at // 2)
        if at % 20 == 0:
            await bench.step()
    await bench.all_steps()
    everything = fold({}, [row.event for row in await bench.rows()])
    assert [message_object(present(row)) for row in everything.new if row.event.type == "message"] == [
        message_object(present(row)) for row in await bench.rows() if row.event.type == "message"
    ]


async def test_long_runs_of_several_rooms_are_packed_one_at_a_time_and_with_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive, hot, term = MemoryArchive(), MemoryHotLog(), FakeTerm(5)
    await archive.raise_fence(term.fence)
    steps = RoomSteps(archive, hot, keep=0)
    at: list[tuple[str, float]] = []
    pack = compactor_room.packed_run

    def watched(*args: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        at.append(("begins", time.monotonic()))
        time.sleep(0.02)
        packed = pack(*args)
        at.append(("ends", time.monotonic()))
        return packed

    monkeypatch.setattr(compactor_room, "packed_run", watched)
    rooms = ["a", "b", "c"]
    for room in rooms:
        hot.create(room)
        for _ in range(400):
            hot.say(room, "ada", "hello")
    await asyncio.gather(*(steps.advance(term, room) for room in rooms))
    assert [what for what, _ in at] == ["begins", "ends"] * 3
    for (_, began), (_, ended), (_, next_began) in zip(at[::2], at[1::2], at[2::2], strict=False):
        assert next_began - ended >= compactor_room._REST * (ended - began) * 0.9
