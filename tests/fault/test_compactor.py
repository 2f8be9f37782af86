"""The compactor as a process, killed by SIGKILL at each of its steps, over a real Redis and a SQLite file."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from dchat_server.adapters.redis_hot import RedisHotLog
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.adapters.sqlite_archive import SqliteArchive
from dchat_server.archived import chunks_from, roster_at
from dchat_server.chunk import Row
from dchat_server.fold import fold, overlay_fields, present
from dchat_server.lifeline import tied
from dchat_server.model import Draft, Event, mentions_in
from dchat_server.ports import Amendment, Trimmed
from dchat_server.ports_archive import Fenced, RoomRecord
from dchat_server.redis_binary import find_binaries
from dchat_server.roster import Roster
from dchat_server.verify import verify
from dchat_server.wire import body_fields, draft_body, message_object
from tests.harness.compacting import command
from tests.harness.processes import PATIENCE_S, ROOT, new_folder
from tests.redis_servers import SHARDS, empty_nodes, redis_server

ROOM = "lobby"
KEEP = 100
POINTS = ("known", "read", "reached", "packed", "roster", "committed", "trimmed")


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = new_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Place:
    """A room in Redis, the archive beside it, and every event ever written, read before it could be trimmed."""

    def __init__(self, url: str, nodes: RedisNodes, file: Path) -> None:
        self.url, self.file = url, file
        self.log, self.rooms = RedisRoomLog(nodes), RedisRoomStore(nodes)
        self.hot = RedisHotLog(nodes, self.log, RedisPeople(nodes))
        self.archive = SqliteArchive(file, SHARDS)
        self.events: list[Event] = []
        self.fence = 0
        self.dice = random.Random(7)

    async def write(self, messages: int) -> None:
        """People talk, and change what they and others said long ago."""
        before = len(self.events)
        drafts = []
        for at in range(messages):
            text = f"{before + at} secret @bob"
            drafts.append(Draft("ada", text, draft_body("ada", text, None, None), mentions=mentions_in(text)))
        for at in range(0, messages, 200):
            await self.log.send_many(ROOM, drafts[at : at + 200])
        await self._note()
        said = [event.seq for event in self.events if event.type == "message"]
        for action in ("edit", "edit", "add", "add", "add", "delete") * 5:
            await self._amend(action, self.dice.choice(said))
        await self._note()

    async def _amend(self, action: str, target: int) -> None:
        row = fold({}, self.events).new[target - 1]
        if row.state is not None and row.state.deleted_at is not None:
            return
        here = await self.hot.room(ROOM)
        assert here is not None
        base = {} if row.state is None else {name: _text(value) for name, value in overlay_fields(row.state).items()}
        value = {"edit": "changed, still secret @ada", "add": "+1"}.get(action, "")
        # What is not archived yet is in Redis itself, which then does not look at `base`.
        await self.log.amend(ROOM, "ada", Amendment(action, target, value, base=base, known=here.watermark))
        await self._note()

    async def _note(self) -> None:
        while page := await self.log.read(ROOM, len(self.events), 500):
            self.events += page

    async def compact(self, fail_point: str = "-", times: int = 1) -> int:
        """Run the process to its end; how it ended."""
        self.fence += 1
        process = await asyncio.create_subprocess_exec(
            *tied(
                command(
                    self.url,
                    self.file,
                    shards=SHARDS,
                    keep=KEEP,
                    fence=self.fence,
                    fail_point=fail_point,
                    times=times,
                )
            ),
            cwd=ROOT,
        )
        async with asyncio.timeout(PATIENCE_S):
            return await process.wait()

    async def record(self) -> RoomRecord:
        return (await self.archive.rooms([ROOM])).get(ROOM, RoomRecord(ROOM))

    async def check(self) -> None:
        """What is archived and what is in the log are dense together, and the same as what was written."""
        record, here = await self.record(), await self.hot.room(ROOM)
        assert here is not None
        assert here.head == len(self.events)
        assert here.watermark <= record.watermark
        rows: list[Row] = []
        async for _, some in chunks_from(self.archive, ROOM, 1, record.watermark):
            rows += some
        model = fold({}, self.events[: record.watermark]).new
        assert rows == model
        behind = await self.log.read(ROOM, record.watermark, 100_000)
        assert behind == self.events[record.watermark :]
        roster = Roster()
        for event in self.events[: record.watermark]:
            roster.apply(event)
        if record.version:
            found = await roster_at(self.archive, record)
            assert found.posted == roster.posted
            assert found.members == roster.members
            assert found.mentions == roster.mentions
            assert found.deleted == roster.deleted


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """One server: what each kind of them does is for the contract suites to say."""
    with redis_server(next(iter(find_binaries())).flavour.lower()) as url:
        yield url


@pytest_asyncio.fixture
async def place(redis_url: str, folder: Path) -> AsyncIterator[Place]:
    async with empty_nodes(redis_url) as nodes:
        place = Place(redis_url, nodes, folder / "archive.sqlite3")
        await place.archive.start()
        await place.rooms.create(ROOM, "public", "ada", {"ada": "owner", "bob": "member"}, topic="", display_name="")
        try:
            yield place
        finally:
            await place.archive.stop()


async def test_killed_at_each_step_it_goes_on_where_it_was(place: Place) -> None:
    for point in POINTS:
        await place.write(700)
        assert await place.compact(point) == -9, f"it did not come by {point}"
        await place.check()
    await place.write(5000)
    for times in (2, 1):  # in the middle of a backlog
        assert await place.compact("committed", times) == -9
        await place.check()
    assert await place.compact() == 0
    await place.check()
    record = await place.record()
    assert record.watermark == len(place.events)
    with pytest.raises(Trimmed):
        await place.log.read(ROOM, 0, 10)

    async def ignore(facts: object) -> None:
        await asyncio.sleep(0)

    found = await verify(place.archive, place.hot, ROOM, ignore)
    assert found["problems"] == []
    assert found["events"] == len(place.events)
    await _shows_no_deleted_text(place)


async def test_a_fence_of_a_later_leader_stops_it(place: Place) -> None:
    await place.write(10)
    await place.archive.raise_fence(50)
    assert await place.compact() not in (0, -9)
    assert (await place.record()).version == 0
    with pytest.raises(Fenced):
        await place.archive.raise_fence(49)


async def _shows_no_deleted_text(place: Place) -> None:
    gone = {body_fields(event)["target"] for event in place.events if event.type == "delete"}
    assert gone
    async for _, rows in chunks_from(place.archive, ROOM, 1, len(place.events)):
        for row in rows:
            body = body_fields(row.event)
            if row.event.seq in gone or body.get("target") in gone:
                assert b"secret" not in row.event.body
            if row.event.seq in gone:
                assert message_object(present(row))["deleted"]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
