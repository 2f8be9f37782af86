"""Putting a backup into an empty archive: whole, once, and as often as it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dchat_server.archived import roster_at
from dchat_server.backup import Backup
from dchat_server.backup_file import BackupWriter, Summary, verify
from dchat_server.chunk import decode
from dchat_server.compactor import Compactor
from dchat_server.errors import ClusterMismatch
from dchat_server.ports_archive import MAX_PUTS, Chunk, Fenced, Mark, RoomRecord, UserRecord
from dchat_server.refill import FENCE, Refill
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.hot_logs import MemoryHotLog

LONG = "long"
COUNT = 2 * MAX_PUTS + 3
LAST = RoomRecord(
    LONG,
    version=999,
    watermark=COUNT,
    messages=COUNT - 2,
    ts=COUNT,
    offset=10 * COUNT,
    epochs=((5, 1), (6, 3)),
    facts={"kind": "public", "topic": "all of it"},
    tail=1,
    roster_at=COUNT - 1,
    commit="of another archive",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A room of so many chunks that it takes three steps, and thirty people."""
    path = tmp_path / "file"
    with BackupWriter(path, backup="abc", made=1, shards=4, identity="i", complete=True) as out:
        out.shard(1, Mark(6, 7))
        out.shard(2, Mark(9, 10_000))
        for number in range(30):
            out.person(number % 4, UserRecord(f"p{number}", {"password": "x"}, {}, [LONG], {}))
        for shard, room in ((1, LONG), (2, "short")):
            out.room(shard, LAST if room == LONG else RoomRecord("short", version=3, watermark=1), [b"roster"])
            for seq in range(1, COUNT + 1 if room == LONG else 2):
                out.chunk(Chunk(seq, seq, 10 * seq, seq, b"%d" % seq))
        out.finish()
    return path


async def refill(archive: Any, file: Path) -> None:
    await Refill(archive, file, verify(file), lambda what, counts, size: None).run()


async def check(archive: MemoryArchive) -> None:
    await archive.start()
    record = (await archive.rooms([LONG]))[LONG]
    assert (record.watermark, record.messages, record.epochs, record.facts) == (
        LAST.watermark,
        LAST.messages,
        LAST.epochs,
        LAST.facts,
    )
    assert (record.version, record.commit, record.tail) == (3, "abc-3", COUNT)
    assert [chunk.first for chunk in await archive.chunks(LONG, 1, 1000)] == list(range(1, COUNT + 1))
    assert await archive.roster(LONG) == (COUNT - 1, [b"roster"])
    assert len(await archive.users([f"p{number}" for number in range(30)])) == 30
    # Never before what the room itself has seen, though its shard's mark was noted earlier.
    assert await archive.marks() == {1: Mark(6, 10 * COUNT), 2: Mark(9, 10_000)}
    assert await archive.fence() == FENCE


async def test_all_of_it_is_there_and_marked_as_whole(file: Path) -> None:
    archive = MemoryArchive()
    await refill(archive, file)
    await check(archive)


async def test_interrupted_anywhere_it_goes_on_when_it_is_repeated(file: Path) -> None:
    """At each write, before and behind it; until it is whole nobody can start there."""
    calls = MemoryArchive()
    await refill(calls, file)
    writes = [call for call in calls.calls if call in ("begin_filling", "raise_fence", "commit", "save_users")]
    assert len(writes) >= 8
    for when in ("before", "after"):
        for stop_at in range(1, len(writes) + 1):
            seen = 0

            async def dies(step: str, when: str = when, stop_at: int = stop_at) -> None:
                nonlocal seen
                seen += step in {f"{when} {name}" for name in writes}
                if seen == stop_at and step.startswith(when):
                    raise ConnectionResetError

            archive = MemoryArchive(dies)
            with pytest.raises(ConnectionResetError):
                await refill(archive, file)
            archive.gate = None
            if (when, stop_at) != ("before", 1):
                with pytest.raises(ClusterMismatch):
                    await archive.start()
            await refill(archive, file)
            await check(archive)


async def test_an_archive_with_anything_in_it_is_refused_and_stays_as_it_is(file: Path) -> None:
    archive = MemoryArchive()
    await archive.raise_fence(3)
    with pytest.raises(ClusterMismatch):
        await refill(archive, file)
    assert await archive.rooms([LONG]) == {}
    whole = MemoryArchive()
    await refill(whole, file)
    with pytest.raises(ClusterMismatch):  # also by itself: somebody may have gone on with it
        await refill(whole, file)


async def test_a_leader_that_came_meanwhile_ends_it(file: Path) -> None:
    async def leads(step: str) -> None:
        if step == "after commit":
            archive._fence = 17

    archive = MemoryArchive(leads)
    with pytest.raises(Fenced):
        await refill(archive, file)


async def test_a_leader_goes_on_where_the_backup_ends(tmp_path: Path) -> None:
    """Through backup and refill, then on: the chunk that was open takes more, and the roster can be made."""
    hot, archive, target = MemoryHotLog(), MemoryArchive(), MemoryArchive()
    await archive.raise_fence(5)
    hot.create("lobby")
    for at in range(30):
        hot.say("lobby", "ada", f"text {at}")
    hot.member("lobby", "ben", "join", "member")
    compactor = Compactor(archive, hot, interval_s=1, keep=1000)
    while await compactor.round(FakeTerm(5)):
        pass
    summary = await backup(archive, tmp_path / "file")
    assert summary.counts == {"rooms": 1, "chunks": 1}
    await refill(target, tmp_path / "file")
    hot.fence = 0
    hot.say("lobby", "ben", "on")
    compactor = Compactor(target, hot, interval_s=1, keep=1000)
    await target.raise_fence(6)
    while await compactor.round(FakeTerm(6)):
        pass
    (chunk,) = await target.chunks("lobby", 1, 10)
    assert [row.event.seq for row in decode("lobby", chunk.data)] == list(range(1, 35))
    record = (await target.rooms(["lobby"]))["lobby"]
    assert set((await roster_at(target, record)).members) == {"ada", "ben"}


async def backup(archive: MemoryArchive, path: Path) -> Summary:

    with BackupWriter(path, backup="abc", made=1, shards=4, identity="i", complete=False) as out:
        await Backup(archive, None, out, lambda what, counts, size: None, wait_s=0).take(4)
        out.finish()
    return verify(path)
