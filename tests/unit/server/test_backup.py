"""Taking a backup while people write: what was there before is in it, and each room is a run without holes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dchat_server.backup import Backup, NotReady
from dchat_server.backup_file import BackupWriter, chunk_from, parts, person_from, room_from, shard_from
from dchat_server.chunk import Row, decode
from dchat_server.compactor import Compactor
from dchat_server.errors import ArchiveUnavailable
from dchat_server.ports_archive import Chunk, Mark, RoomChange, UserRecord
from dchat_server.retention import Retention
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.harness.processes import eventually
from tests.hot_logs import MemoryHotLog

ROOM = "lobby"


def person(name: str, **account: str) -> UserRecord:
    return UserRecord(name, account, {}, [ROOM], {ROOM: "1 1"})


class Bench:
    """A chat of which the leader archives what it has when `archive_all` is called."""

    def __init__(self, file: Path) -> None:
        self.archive, self.hot, self.term, self.file = MemoryArchive(), MemoryHotLog(), FakeTerm(5), file
        self.compactor = Compactor(self.archive, self.hot, interval_s=1, keep=50)
        self.told: list[str] = []

    async def archive_all(self) -> None:
        while await self.compactor.round(self.term):
            pass

    async def take(self, *, archived: bool = False, wait_s: float = 60.0) -> None:
        with BackupWriter(self.file, backup="b", made=1, shards=4, identity="i", complete=not archived) as file:
            hot = None if archived else self.hot
            backup = Backup(self.archive, hot, file, lambda what, counts, size: self.told.append(what), wait_s=wait_s)
            await backup.take(4)
            file.finish()

    def at_first_read(self, action: Callable[[], Awaitable[None]]) -> None:
        """Have `action` done when the room's record was read, and none of its chunks."""
        read = self.archive.chunks

        async def chunks(room: str, seq: int, limit: int) -> list[Chunk]:
            if room == ROOM:
                self.archive.chunks = read  # type: ignore[method-assign]
                await action()
            return await read(room, seq, limit)

        self.archive.chunks = chunks  # type: ignore[method-assign]

    def rows(self, room: str = ROOM) -> list[Row]:
        """The room's rows in the file."""
        found: list[Row] = []
        here = ""
        for kind, body in parts(self.file):
            if kind == b"R":
                here = room_from(body)[1].room
            if kind == b"C" and here == room:
                found += decode(room, chunk_from(body).data)
        return found

    def records(self) -> dict[str, Any]:
        """Name → record of the rooms and people in the file."""
        rooms = {room_from(body)[1].room: room_from(body)[1] for kind, body in parts(self.file) if kind == b"R"}
        people = {person_from(body)[1].user: person_from(body)[1] for kind, body in parts(self.file) if kind == b"U"}
        return {**rooms, **people}


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    """A room of 302 archived events, and ten rooms more."""
    bench = Bench(tmp_path / "file")
    await bench.archive.raise_fence(5)
    for room in (ROOM, *(f"room-{number}" for number in range(10))):
        bench.hot.create(room)
    for at in range(300):
        bench.hot.say(ROOM, "ada", f"text {at}")
    await bench.archive_all()
    people = [(bench.hot.shard_of(name), person(name, password="old")) for name in ("ada", "ben")]
    await bench.archive.save_users(5, people)
    return bench


async def test_all_rooms_people_and_marks_of_the_archive_are_in_the_file(bench: Bench) -> None:
    await bench.take()
    assert set(bench.records()) == {ROOM, *(f"room-{number}" for number in range(10)), "ada", "ben"}
    assert [row.event.seq for row in bench.rows()] == list(range(1, 303))
    marks = dict(shard_from(body) for kind, body in parts(bench.file) if kind == b"S")
    assert marks == await bench.archive.marks()
    assert isinstance(marks[bench.hot.shard_of(ROOM)], Mark)


async def test_what_was_acknowledged_before_it_began_is_waited_for(bench: Bench) -> None:
    last = bench.hot.say(ROOM, "ada", "the last word before")
    bench.hot.create("new")
    taking = asyncio.create_task(bench.take())
    await eventually(lambda: taking.done() or any("2 rooms" in what for what in bench.told), "it waits for both rooms")
    assert not taking.done()
    bench.hot.say(ROOM, "ada", "said while it waits")
    await bench.archive_all()
    await taking
    assert last.seq in [row.event.seq for row in bench.rows()]
    assert "new" in bench.records()


async def test_people_whose_record_is_not_saved_yet_are_taken_from_the_log(bench: Bench) -> None:
    for name in ("ben", "cid"):
        bench.hot.users[name], bench.hot.changed[name] = person(name, password="new"), 7
    await bench.take()
    records = bench.records()
    assert {name: records[name].account["password"] for name in ("ada", "ben", "cid")} == {
        "ada": "old",
        "ben": "new",
        "cid": "new",
    }
    assert len([kind for kind, _ in parts(bench.file) if kind == b"U"]) == 3


async def test_without_a_leader_it_ends_with_what_is_missing_and_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.hot.say(ROOM, "ada", "nobody archives this")
    with pytest.raises(NotReady, match="1 rooms are not archived yet"):
        await bench.take(wait_s=0)
    assert list(tmp_path.iterdir()) == []
    await bench.take(archived=True)
    assert len(bench.rows()) == 302


async def test_a_log_that_is_being_brought_back_is_waited_for(bench: Bench) -> None:
    bench.hot.behind_shards = {2}
    with pytest.raises(NotReady, match="1 shards of the message log are still being brought back"):
        await bench.take(wait_s=0)


async def test_a_room_that_goes_on_while_it_is_read_is_cut_at_its_record(bench: Bench) -> None:
    """New events land in the very chunk that is read last, an edit changes the first."""

    async def meanwhile() -> None:
        bench.hot.edit(ROOM, "ada", 3, "changed while it was read")
        bench.hot.say(ROOM, "ada", "said while it was read")
        await bench.archive_all()

    await bench.take(archived=True)
    quiet = bench.rows()
    bench.file.unlink()
    bench.at_first_read(meanwhile)
    await bench.take(archived=True)
    rows, record = bench.rows(), bench.records()[ROOM]
    assert record.watermark == 302
    assert [row.event for row in rows] == [row.event for row in quiet]
    assert rows[-1].event.messages == record.messages


async def test_a_room_that_lets_go_of_old_messages_meanwhile_is_read_anew(bench: Bench) -> None:

    async def meanwhile() -> None:
        retention = Retention(bench.archive, bench.hot, days=0.0000001, keep=1, wall=lambda: 4e9)
        await retention.visit(bench.term, ROOM, (await bench.archive.rooms([ROOM]))[ROOM])

    bench.at_first_read(meanwhile)
    await bench.take(archived=True)
    record = bench.records()[ROOM]
    assert record.floor > 1
    assert [row.event.seq for row in bench.rows()] == list(range(record.floor, 303))
    assert len([kind for kind, _ in parts(bench.file) if kind == b"R"]) == 11


@pytest.mark.parametrize("damage", ["chunk", "hole", "roster"])
async def test_a_damaged_archive_is_no_backup(bench: Bench, tmp_path: Path, damage: str) -> None:
    (first, *_) = await bench.archive.chunks(ROOM, 1, 1)
    record = (await bench.archive.rooms([ROOM]))[ROOM]
    change = RoomChange(replace(record, version=record.version + 1, commit="planted"))
    change = {
        "chunk": replace(change, put=[first._replace(data=first.data[:-9] + b"something")]),
        "hole": replace(change, drop=[first.first]),
        "roster": replace(change, roster=[b"\x01something"]),
    }[damage]
    await bench.archive.commit(5, change)
    with pytest.raises(NotReady, match="dchat admin verify lobby"):
        await bench.take()
    assert list(tmp_path.iterdir()) == []


async def test_an_archive_that_does_not_answer_for_a_moment_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0

    async def sometimes(step: str) -> None:
        nonlocal failures
        if step in ("before chunks", "before users", "before directory") and failures < 3:
            failures += 1
            raise ArchiveUnavailable

    bench.archive.gate = sometimes
    await bench.take(archived=True)
    assert failures == 3
    monkeypatch.setattr("dchat_server.backup.PATIENCE_S", 0)
    bench.file.unlink()
    failures = 0
    with pytest.raises(ArchiveUnavailable):
        await bench.take(archived=True)
