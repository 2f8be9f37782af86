"""A Redis that has lost everything, or comes back as it was long ago: what was archived is there again, for everybody;
what was not is gone, and all who saw it are told."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import pytest

from dchat_server.adapters.sqlite_archive import FILE, SqliteArchive
from tests.harness.checker import Missed, Saw, violations
from tests.harness.crowd import Reader, caught_up, stop_all
from tests.harness.people import PASSWORD, Person, crowd, new_name
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.town import SHARDS, Witness
from tests.harness.workers import Workers

SETTINGS = {"DCHAT_COMPACT_INTERVAL_S": "0.1", "DCHAT_COMPACT_KEEP": "5"}


class House:
    """Ada, who came first, and Ben, in rooms that hold some of everything, most of it archived."""

    def __init__(self, redis: RedisServer, workers: Workers, http: aiohttp.ClientSession) -> None:
        self.redis, self.workers, self.http = redis, workers, http
        self.archive = SqliteArchive(workers[0].folder / "data" / FILE, SHARDS)
        self.sent: dict[tuple[str, int], dict[str, Any]] = {}

    async def furnish(self) -> None:
        await self.archive.start()
        self.ada, self.ben = await crowd(self.http, self.workers.urls, 1) + await crowd(self.http, self.workers.urls, 1)
        self.room, self.quiet, self.den = await self.ada.create(), await self.ada.create(), new_name("den")
        await self.ada.create(self.den, kind="private")
        await self.ada.invite(self.den, self.ben.name)
        self.rooms = [self.room, self.quiet, self.den]
        for room in (self.room, self.quiet):
            await self.ben.join(room)
        self.empty_heads, self.first_cursor = await self.ben.sync()
        for number in range(20):
            await self.say(number)
        await self.amend(self.room, 3)
        await self.ben.must("PUT", f"/v1/rooms/{self.room}/read", {"seq": self.sent[self.room, 10]["seq"]})

    async def say(self, number: int) -> None:
        for room in self.rooms:
            key = f"{room} {number}"
            self.sent[room, number] = await self.ada.send(room, f"{key} @{self.ben.name}", client_id=key)

    async def amend(self, room: str, number: int) -> None:
        """Edit one message, delete the next one, react to the one behind it."""
        seqs = [self.sent[room, number + at]["seq"] for at in range(3)]
        path = f"/v1/rooms/{room}/messages"
        await self.ada.must("PATCH", f"{path}/{seqs[0]}", {"text": f"edited {number}"})
        assert (await self.ada.ask("DELETE", f"{path}/{seqs[1]}")).status == 204
        await self.ben.must("PUT", f"{path}/{seqs[2]}/reactions/%F0%9F%91%8D")

    async def saved(self) -> None:
        """Wait until everything is archived, people too."""
        witness = Witness(self.redis.port, self.archive, self.rooms)
        await witness.stop()

        async def archived() -> bool:
            sights = {sight.room: sight for sight in await witness.look()}
            heads = [sights[room].watermark if room in sights else 0 for room in self.rooms]
            return heads == [await self.ada.head(room) for room in self.rooms]

        await eventually(archived, "all rooms are archived", every_s=0.1)
        await eventually(self._people_saved, "people are saved", every_s=0.1)

    def _people_saved(self) -> bool:
        leader = next((worker for worker in self.workers if worker.leads), None)
        return leader is not None and leader.metric("dchat_people_unsaved") == 0 and not self._changed()

    def _changed(self) -> int:
        return sum(int(self.redis.ask("HLEN", key)) for key in self.redis.ask("KEYS", "*:changed"))

    async def state(self) -> dict[str, Any]:
        """What people see of it, by room and by person."""
        rooms = {room: await self.ben.history(room) for room in self.rooms}
        members = {room: (await self.ben.must("GET", f"/v1/rooms/{room}/members"))["members"] for room in self.rooms}
        for member in itertools.chain(*members.values()):
            del member["presence"]  # of now, and stored nowhere
        sync = await self.ben.must("GET", "/v1/sync")
        told = ("room", "kind", "head", "read", "unread", "mentions", "role", "messages", "display_name", "topic")
        mine = [{name: room[name] for name in told if name in room} for room in sync["rooms"]]
        me = [await person.must("GET", "/v1/me") for person in (self.ada, self.ben)]
        return {"rooms": rooms, "members": members, "mine": mine, "me": me}

    @contextmanager
    def archive_full(self) -> Iterator[None]:
        """No room can be archived inside the block: each try fails at once."""
        with sqlite3.connect(self.workers[0].folder / "data" / FILE, isolation_level=None) as connection:
            connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON chunks BEGIN SELECT RAISE(ABORT, 'planted by a test'); END"
            )
            try:
                yield
            finally:
                connection.execute("DROP TRIGGER full")
        connection.close()


@asynccontextmanager
async def house(http: aiohttp.ClientSession) -> AsyncIterator[House]:
    with RedisServer(aof="always") as redis, Workers(redis.url, 2, **SETTINGS) as workers:
        here = House(redis, workers, http)
        try:
            await here.furnish()
            yield here
        finally:
            await here.archive.stop()


@pytest.mark.parametrize("loss", ["flushed", "replaced", "older"])
async def test_what_was_archived_comes_back_and_what_was_not_is_a_gap(http: aiohttp.ClientSession, loss: str) -> None:
    async with house(http) as here:
        ada, ben, room, quiet = here.ada, here.ben, here.room, here.quiet
        older = here.redis.folder / "older"
        shutil.copytree(here.redis.folder / "appendonlydir", older)
        for number in range(20, 25):
            await here.say(number)
        await here.amend(room, 12)
        await here.amend(here.den, 22)
        await here.saved()
        before = await here.state()
        archived = {name: await ada.head(name) for name in here.rooms}
        readers = [
            Reader(ben, cursor=here.first_cursor, starts=here.empty_heads, worker=at, seed=at).start() for at in (0, 1)
        ]
        # One who has read to the end elsewhere, and whose room nobody else has open at this worker.
        alone = Reader(ben, rooms=(quiet,), cursor=here.first_cursor, starts={quiet: here.empty_heads[quiet]}, worker=0)
        await caught_up([alone.start()], {quiet: archived[quiet]})
        await caught_up(readers, archived)
        middle = readers[0].cursor
        with here.archive_full():
            for number in range(25, 30):
                await here.say(number)
            late = await ada.create()
            await ada.send(late, "nobody has this")
            lost = {name: await ada.head(name) for name in here.rooms}
            await caught_up(readers, lost)
            await caught_up([alone], {quiet: lost[quiet]})
            end = readers[0].cursor
            await stop_all(readers)
            await alone.stop()
            # Back with what they have seen; only the loner alone at the other worker.
            readers[0].worker = readers[1].worker = 1 if loss == "flushed" else None
            alone.worker = 0
            for reader in (*readers, alone):
                await reader.start().live.wait()
            await asyncio.sleep(0.3)
            await lose(here, loss, older)
            if loss == "flushed":
                assert (await ada.ask("GET", f"/v1/rooms/{late}")).status == 404
        if loss == "older":
            # What is there, in an older form, is shown until the leader has brought it forward.
            async def brought() -> bool:
                return {name: await ben.history(name) for name in here.rooms} == before["rooms"] and not behind(here)

            await eventually(brought, "all rooms were brought forward", every_s=0.1)
        # As it was when it was archived: rooms, members, markers, people; old tokens and passwords.
        assert {name: await ben.history(name) for name in here.rooms} == before["rooms"]
        after = await here.state()
        for name in here.rooms:
            assert [m for m in after["rooms"][name] if m not in before["rooms"][name]] == []
            assert after["rooms"][name] == before["rooms"][name]
        assert after == before
        answer = await ada.must("POST", "/v1/login", {"username": ada.name, "password": PASSWORD})
        assert answer["token"]
        assert (await ada.ask("GET", f"/v1/rooms/{late}")).status == 404
        newcomer = Person(http, here.workers.urls, new_name())
        await newcomer.register()
        assert (await newcomer.ask("GET", "/v1/cluster")).status == 403
        assert (await ada.ask("GET", "/v1/cluster")).status == 200
        # It goes on behind what is there, under another epoch; keys of what is there hold, others do not.
        for name in here.rooms:
            old, gone = here.sent[name, 6], here.sent[name, 27]
            body = {"text": f"{name} 6 @{ben.name}", "client_id": f"{name} 6"}
            again = await ada.ask("POST", f"/v1/rooms/{name}/messages", body)
            assert (again.status, again.json["message"]["seq"]) == (200, old["seq"])
            body = {"text": f"{name} 27 @{ben.name}", "client_id": f"{name} 27"}
            new = await ada.ask("POST", f"/v1/rooms/{name}/messages", body)
            assert (new.status, new.json["message"]["seq"]) == (201, archived[name] + 1)
            assert new.json["message"]["epoch"] > gone["epoch"]
        final = {name: archived[name] + 1 for name in here.rooms}
        # Open streams were told from where on they saw what is gone, and go on.
        for reader, names in ((readers[0], here.rooms), (readers[1], here.rooms), (alone, [quiet])):
            for name in names:
                await eventually(
                    lambda reader=reader, name=name: tells(reader, name), f"{reader.record.reader} is told"
                )
                first, last = next((first, last) for where, first, last in reader.record.gaps() if where == name)
                # One that comes back as it was knows only what it had then, and says so from there on.
                assert first == archived[name] + 1 or (loss == "older" and first <= archived[name]), (name, first)
                if loss == "flushed":
                    assert last >= lost[name]
        # Whoever comes back from before reads on through the archive, and is told of the rest.
        old_ones = [
            Reader(ben, forms=(form,), cursor=place, starts=starts, worker=at % 2, seed=50 + at).start()
            for at, (form, place, starts) in enumerate(
                (form, *where)
                for form in ("sse", "poll")
                for where in ((here.first_cursor, here.empty_heads), (middle, archived))
            )
        ]
        seen_it = Reader(ben, cursor=end, seed=99)
        seen_it.record.entries = [entry for entry in readers[0].record.entries if not isinstance(entry, Missed)]
        cut = (
            next(
                at
                for at, entry in enumerate(seen_it.record.entries)
                if isinstance(entry, Saw) and entry.epoch > first_epoch(here)
            )
            if any(isinstance(entry, Saw) and entry.epoch > first_epoch(here) for entry in seen_it.record.entries)
            else None
        )
        del seen_it.record.entries[cut:]
        seen_it.record.starts = dict(here.empty_heads)
        everybody = [*readers, *old_ones, seen_it.start()]
        await caught_up(everybody, final, timeout_s=20)
        await caught_up([alone], {quiet: final[quiet]}, timeout_s=20)
        await stop_all([*everybody, alone])
        assert seen_it.record.gaps()
        history = {name: await ben.history(name) for name in here.rooms}
        assert violations(history, [], [reader.record for reader in everybody], heads=final, lossy=True) == []
        assert violations(history, [], [alone.record], heads={quiet: final[quiet]}, lossy=True) == []
        for reader in old_ones:
            # All of what was archived reached them, gap or not.
            for name in here.rooms:
                starts = reader.record.starts[name]
                assert set(range(starts + 1, final[name] + 1)) <= set(reader.record.seqs(name))
        await here.saved()
        await eventually(lambda: not behind(here), "nothing is missing any more")
        shows = await here.state()
        for name in here.rooms:
            assert shows["rooms"][name][: len(before["rooms"][name])] == before["rooms"][name]
            assert len(shows["rooms"][name]) == len(before["rooms"][name]) + 1


def tells(reader: Reader, name: str) -> bool:
    return any(where == name for where, _, _ in reader.record.gaps())


def first_epoch(here: House) -> int:
    return max(int(message["epoch"]) for message in here.sent.values())


def behind(here: House) -> list[str]:
    keys = here.redis.ask("KEYS", "*:state")
    return [key for key in keys if here.redis.ask("HGET", key, "behind") == "1"]


async def lose(here: House, loss: str, older: Any) -> None:
    if loss == "flushed":
        here.redis.ask("FLUSHALL")
        return
    here.redis.process.kill()
    if loss == "replaced":
        for worker in here.workers:
            worker.kill()
    shutil.rmtree(here.redis.folder / "appendonlydir")
    if loss == "older":
        shutil.copytree(older, here.redis.folder / "appendonlydir")
    here.redis.restart()
    await asyncio.to_thread(here.workers.revive)
