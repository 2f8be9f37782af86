"""Walking a room through archive and log: whole rooms are found whole, and every damage is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from dchat_server.archived import Hole, chunks_from, roster_at
from dchat_server.compactor import Compactor
from dchat_server.errors import ChatError
from dchat_server.ports_archive import Conflict, RoomChange, RoomRecord
from dchat_server.verify import verify
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.hot_logs import MemoryHotLog

ROOM = "lobby"


class Bench:
    def __init__(self) -> None:
        self.archive, self.hot, self.term = MemoryArchive(), MemoryHotLog(), FakeTerm(5)
        self.compactor = Compactor(self.archive, self.hot, interval_s=1, keep=50)
        self.progress: list[Mapping[str, Any]] = []

    async def archive_all(self) -> None:
        while await self.compactor.round(self.term):
            pass

    async def verify(self) -> dict[str, Any]:
        async def on_progress(facts: Mapping[str, Any]) -> None:
            self.progress.append(facts)

        return await verify(self.archive, self.hot, ROOM, on_progress)

    async def record(self) -> RoomRecord:
        return (await self.archive.rooms([ROOM]))[ROOM]

    async def change(self, **fields: Any) -> None:
        """Write a record that no compactor would."""
        record = await self.record()
        record = replace(record, version=record.version + 1, commit="planted", **fields)
        await self.archive.commit(5, RoomChange(record))


@pytest.fixture
async def bench() -> Bench:
    """1002 events in the archive, 100 more in the log."""
    bench = Bench()
    await bench.archive.raise_fence(5)
    bench.hot.create(ROOM)
    for at in range(996):
        message = bench.hot.say(ROOM, "ada", f"text {at}")
    bench.hot.edit(ROOM, "ada", message.seq, "new")
    bench.hot.react(ROOM, "ada", message.seq - 1, "x")
    bench.hot.delete(ROOM, "ada", message.seq - 2)
    bench.hot.new_epoch()
    bench.hot.member(ROOM, "bob", "join", "member")
    await bench.archive_all()
    for at in range(100):
        bench.hot.say(ROOM, "bob", f"text {at}")
    return bench


async def test_a_whole_room_is_found_whole(bench: Bench) -> None:
    found = await bench.verify()
    assert found["problems"] == []
    assert found["ok"]
    assert (found["floor"], found["watermark"], found["head"]) == (1, 1002, 1102)
    assert (found["events"], found["messages"], found["from_log"], found["hole"]) == (1102, 1096, 100, None)
    assert found["epochs"] == [[1000, 1], [1001, 1002]]
    assert found["chunks"] == 6
    assert found["bytes"] > 0


async def test_how_far_it_is_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.verify.PROGRESS_EVENTS", 300)
    await bench.verify()
    assert [facts["events"] for facts in bench.progress] == sorted(facts["events"] for facts in bench.progress)
    assert bench.progress[-1]["head"] == 1102


async def test_a_room_that_is_only_in_the_log_or_only_in_the_archive_is_whole(bench: Bench) -> None:
    await bench.archive_all()
    bench.hot.rooms.clear()
    assert (await bench.verify())["ok"]
    bench.archive._records.clear()
    bench.hot.create(ROOM)
    found = await bench.verify()
    assert found["ok"]
    assert found["events"] == found["from_log"] == 2


async def test_an_unknown_room_is_none() -> None:
    with pytest.raises(ChatError, match="room_not_found"):
        await Bench().verify()


async def test_a_missing_chunk_is_a_hole(bench: Bench) -> None:
    chunks = bench.archive._chunks[ROOM]
    del chunks[401]
    found = await bench.verify()
    assert not found["ok"]
    assert found["hole"] == 401
    assert found["events"] == 902
    with pytest.raises(Hole):
        [rows async for rows in chunks_from(bench.archive, ROOM, 1, 1002)]


async def test_a_missing_last_chunk_is_a_hole(bench: Bench) -> None:
    del bench.archive._chunks[ROOM][1001]
    assert (await bench.verify())["hole"] == 1001


async def test_a_damaged_chunk_is_told_and_stepped_over(bench: Bench) -> None:
    chunks = bench.archive._chunks[ROOM]
    chunks[201] = chunks[201]._replace(data=chunks[201].data[:-3])
    found = await bench.verify()
    assert found["hole"] == 201
    assert "cannot be read" in found["problems"][0]
    assert found["events"] == 902


async def test_a_chunk_in_another_s_place_is_told(bench: Bench) -> None:
    chunks = bench.archive._chunks[ROOM]
    chunks[201] = chunks[201]._replace(offset=1)
    assert "does not hold what it says" in (await bench.verify())["problems"][0]


async def test_events_that_are_in_neither_are_a_hole(bench: Bench) -> None:
    del bench.hot.rooms[ROOM].events[:51]  # the log began 49 before the watermark
    found = await bench.verify()
    assert found["hole"] == 1003
    assert "neither" in found["problems"][0]


async def test_a_log_with_other_events_than_the_archive_is_told(bench: Bench) -> None:
    events = bench.hot.rooms[ROOM].events
    at = next(at for at, event in enumerate(events) if event.seq == 1002)
    events[at] = events[at]._replace(offset=events[at].offset - 1)
    assert "another event" in (await bench.verify())["problems"][0]


async def test_a_log_behind_the_archive_is_told(bench: Bench) -> None:
    bench.hot.lose_tail(ROOM, 105)
    assert "before the watermark" in (await bench.verify())["problems"][0]


async def test_counts_that_do_not_go_on_are_told(bench: Bench) -> None:
    events = bench.hot.rooms[ROOM].events
    events[-1] = events[-1]._replace(messages=7)
    assert "count of messages" in (await bench.verify())["problems"][0]


@pytest.mark.parametrize("field", ["messages", "ts", "offset"])
async def test_a_record_that_says_something_else_is_told(bench: Bench, field: str) -> None:
    await bench.change(**{field: 7})
    assert not (await bench.verify())["ok"]


async def test_a_roster_that_cannot_be_made_is_told(bench: Bench) -> None:
    bench.archive._rosters[ROOM] = (2, [b"\x01broken"])
    assert "people" in (await bench.verify())["problems"][0]


async def test_what_moves_meanwhile_is_no_problem(bench: Bench) -> None:
    """The room is archived further, and trimmed, between the look at the record and the look at the log."""

    async def archive_first(step: str) -> None:
        if step == "after chunks":
            bench.archive.gate = None
            bench.hot.say(ROOM, "bob", "one more")
            await bench.archive_all()

    bench.compactor = Compactor(bench.archive, bench.hot, interval_s=1, keep=0)
    bench.archive.gate = archive_first
    found = await bench.verify()
    assert found["problems"] == []
    assert found["events"] == found["head"] == 1103


async def test_retention_meanwhile_is_no_problem(bench: Bench) -> None:
    async def expire_first(step: str) -> None:
        if step == "before chunks":
            bench.archive.gate = None
            del bench.archive._chunks[ROOM][1]
            await bench.change(floor=201)

    bench.archive.gate = expire_first
    found = await bench.verify()
    assert found["problems"] == []
    assert (found["floor"], found["events"]) == (201, 902)


async def test_a_roster_of_a_later_moment_is_a_conflict(bench: Bench) -> None:
    with pytest.raises(Conflict):
        await roster_at(bench.archive, replace(await bench.record(), watermark=500))
