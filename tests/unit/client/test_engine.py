"""The engine over a server: what a face is told, and what a person asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from dchat_client.chat import Chat
from dchat_client.connection import Connection
from dchat_client.engine import Engine
from dchat_client.errors import SignInNeeded
from dchat_client.items import Phase
from dchat_client.outbox import Entry
from dchat_client.transcript import Sending
from dchat_client.updates import Failed, Happened, Missed, StatusIs, Synced, Update
from tests.unit.client.fake_server import FakeServer


class Face:
    """A model kept up to date by an engine, and all that it was told."""

    def __init__(self, connection: Connection, **options: Any) -> None:
        self.chat = Chat()
        self.told: list[Update] = []
        self.engine = Engine(connection, self.take, **options)

    def take(self, update: Update) -> None:
        self.told.append(update)
        self.chat.apply(update, time.monotonic())

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    def texts(self, room: str = "lobby") -> list[str]:
        return [line.text for line in self.chat.transcript(room) if line.kind == "message"]

    def failures(self) -> list[str]:
        return [update.what for update in self.told if isinstance(update, Failed)]

    @property
    def is_live(self) -> bool:
        return self.chat.status.phase is Phase.LIVE


@asynccontextmanager
async def face_at(server: FakeServer, **options: Any) -> AsyncIterator[Face]:
    async with Connection([server.url], "t-ada") as connection:
        face = Face(connection, **options)
        running = asyncio.ensure_future(face.engine.run())
        try:
            await face.until(lambda: face.is_live or running.done())
            if running.done():
                running.result()
            yield face
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, SignInNeeded):
                await running


async def test_a_face_begins_with_its_rooms_and_goes_on_with_what_happens(server: FakeServer) -> None:
    server.say("lobby", "before")
    async with face_at(server) as face:
        assert face.chat.me == "ada"
        assert face.chat.rooms["lobby"].unread == 1
        await face.engine.open_room("lobby")
        server.say("lobby", "after")
        await face.until(lambda: face.texts() == ["before", "after"])
        assert face.chat.rooms["lobby"].unread == 2


async def test_a_room_is_read_once_however_often_it_is_opened(server: FakeServer) -> None:
    async with face_at(server) as face:
        await asyncio.gather(face.engine.open_room("lobby"), face.engine.open_room("lobby"))
        await face.engine.open_room("lobby")
        assert sum("/messages" in path for _, path in server.requests) == 1


async def test_own_messages_are_shown_at_once_and_stored_once_in_order(server: FakeServer) -> None:
    server.faults.posts.extend(["swallow", "busy"])
    async with face_at(server) as face:
        await face.engine.open_room("lobby")
        for number in range(5):
            face.engine.send("lobby", f"own {number}")
        assert face.texts() == [f"own {number}" for number in range(5)]
        await face.until(lambda: not face.chat.pending)
        assert [event["text"] for event in server.rooms["lobby"]] == [f"own {number}" for number in range(5)]
        await face.until(lambda: face.texts() == [f"own {number}" for number in range(5)])


async def test_a_refused_message_can_be_tried_again_or_taken_back(server: FakeServer) -> None:
    async with face_at(server) as face:
        server.max_line_bytes = 3
        first, second = face.engine.send("lobby", "too long"), face.engine.send("lobby", "long too")
        lines = face.chat.transcript("lobby").pending
        await face.until(lambda: [line.sending for line in lines] == [Sending.FAILED] * 2)
        assert len(face.engine.unsent[1]) == 2
        server.max_line_bytes = 100
        assert first is not None
        assert second is not None
        face.engine.retry(first)
        face.engine.cancel(second)
        await face.until(lambda: not face.chat.pending)
        assert [event["text"] for event in server.rooms["lobby"]] == ["too long"]
        assert face.engine.unsent == ((), ())


async def test_a_message_on_its_way_cannot_be_taken_back_and_one_that_waits_can(server: FakeServer) -> None:
    server.faults.posts.extend(["busy"] * 2)
    async with face_at(server) as face:
        first, second = face.engine.send("lobby", "first"), face.engine.send("lobby", "second")
        assert first is not None
        assert second is not None
        face.engine.cancel(second)
        await face.until(lambda: not face.chat.pending)
        assert [event["text"] for event in server.rooms["lobby"]] == ["first"]


async def test_what_was_not_sent_is_kept_and_sent_by_the_next_run_with_its_key(server: FakeServer) -> None:
    kept = Entry("lobby", "from yesterday", "key-1", tag=1.0)
    old = Entry("lobby", "too old", "key-0", tag=0.0)
    async with face_at(server, waiting=[kept], failed=[old]) as face:
        await face.until(lambda: len(server.rooms["lobby"]) == 1)
        assert server.rooms["lobby"][0]["client_id"] == "key-1"
        (line,) = face.chat.transcript("lobby").pending
        assert (line.text, line.sending) == ("too old", Sending.FAILED)
        assert face.engine.unsent == ((), (old,))


async def test_after_a_lost_connection_the_face_goes_on_and_takes_the_counts_anew(server: FakeServer) -> None:
    async with face_at(server) as face:
        await face.engine.open_room("lobby")
        server.say("lobby", "one")
        await face.until(lambda: face.texts() == ["one"])
        server.read["lobby"] = 1  # on another device, and nobody says so
        server.cut()
        await face.until(lambda: face.chat.status.phase is Phase.RECONNECTING)
        server.say("lobby", "two")
        face.engine.reconnect()
        await face.until(lambda: face.is_live and face.texts() == ["one", "two"])
        await face.until(lambda: face.chat.rooms["lobby"].unread == 1)
        happened = [update.event["seq"] for update in face.told if isinstance(update, Happened)]
        assert happened == [1, 2]


async def test_a_reconnect_by_hand_comes_at_once_also_when_all_seems_well(server: FakeServer) -> None:
    async with face_at(server) as face:
        before = len(server.attached)
        face.engine.reconnect()
        await face.until(lambda: len(server.attached) > before and face.is_live)
        server.say("lobby", "still here")
        await face.until(lambda: face.chat.rooms["lobby"].unread == 1)


async def test_after_a_gap_what_is_shown_is_read_anew(server: FakeServer) -> None:
    server.say("lobby", "one")
    async with face_at(server) as face:
        await face.engine.open_room("lobby")
        server.faults.hidden.add(("lobby", 2))
        server.say("lobby", "two")
        server.say("lobby", "three")
        await face.until(lambda: face.texts() == ["one", "two", "three"])
        assert Missed(("lobby",)) in face.told
        assert not face.chat.transcript("lobby").is_stale


async def test_a_room_that_could_not_be_read_is_read_when_the_server_is_back(server: FakeServer) -> None:
    server.say("lobby", "one")
    async with face_at(server) as face:
        server.faults.pages.extend(["busy"] * 5)
        await face.engine.open_room("lobby")
        assert face.failures() == ["Room lobby could not be read"]
        server.cut()
        await face.until(lambda: face.texts() == ["one"])


async def test_a_room_that_one_may_not_read_is_said_and_not_asked_for_again(server: FakeServer) -> None:
    async with face_at(server) as face:
        server.faults.pages.append("refuse")
        await face.engine.open_room("lobby")
        assert face.failures() == ["Room lobby could not be read"]
        server.cut()
        await face.until(lambda: len(server.attached) == 2 and face.is_live)
        assert sum("/messages" in path for _, path in server.requests) == 1


async def test_older_messages_come_before_those_there(server: FakeServer) -> None:
    for number in range(150):
        server.say("lobby", str(number))
    async with face_at(server) as face:
        await face.engine.open_room("lobby")
        shown = face.chat.transcript("lobby")
        assert (shown.oldest, shown.has_older) == (51, True)
        await face.engine.older("lobby", 51)
        assert (shown.oldest, shown.has_older, len(shown.lines)) == (1, False, 150)


async def test_only_the_last_place_of_a_marker_is_told_and_the_badge_goes_at_once(server: FakeServer) -> None:
    for number in range(9):
        server.say("lobby", str(number))
    async with face_at(server) as face:
        for seq in range(1, 10):
            face.engine.mark_read("lobby", seq)
        assert face.chat.rooms["lobby"].unread == 0
        await face.until(lambda: server.read.get("lobby") == 9)
        assert sum(method == "PUT" and path.endswith("/read") for method, path in server.requests) <= 2
        face.engine.mark_unread("lobby", 4)
        await face.until(lambda: face.chat.rooms["lobby"].unread == 5)


async def test_what_a_person_asks_for_is_done_or_said_and_never_raised(server: FakeServer) -> None:
    server.say("lobby", "theirs")
    async with face_at(server) as face:
        engine = face.engine
        assert not await engine.edit("lobby", 1, "mine now")
        assert not await engine.topic("nowhere", "x")
        assert face.failures() == ["The message was not edited", "The topic was not changed"]
        assert await engine.create("garden", topic="green")
        assert face.chat.rooms["garden"].topic == "green"
        assert not await engine.create("garden")
        assert await engine.join("lobby")
        assert await engine.react("lobby", 1, "👍")
        assert await engine.dm(["bob"]) == "dm-ada-bob"
        assert face.chat.rooms["dm-ada-bob"].title == "bob"
        assert [member["user"] for member in await engine.members("lobby")] == ["ada", "bob"]
        assert await engine.message("lobby", 99) is None
        assert len(await engine.find_rooms()) == 2
        assert await engine.leave("garden")


async def test_a_sign_in_that_ended_ends_the_engine(server: FakeServer) -> None:
    server.faults.streams.append("expire")
    async with Connection([server.url], "t-ada") as connection:
        face = Face(connection)
        with pytest.raises(SignInNeeded):
            await face.engine.run()
        assert face.chat.status.phase is Phase.OFFLINE


async def test_a_server_that_is_away_at_the_start_is_waited_for() -> None:
    with FakeServer() as server:
        server.room("lobby", "ada")
        url = server.url
    async with Connection([url], "t-ada", tries=1) as connection:
        face = Face(connection)
        running = asyncio.ensure_future(face.engine.run())
        await face.until(lambda: face.chat.status.phase is Phase.RECONNECTING)
        assert not any(isinstance(update, Synced) for update in face.told)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_face_that_is_slow_is_waited_for(server: FakeServer) -> None:
    gate = asyncio.Event()
    async with Connection([server.url], "t-ada") as connection:
        face = Face(connection, drained=gate.wait)
        running = asyncio.ensure_future(face.engine.run())
        await face.until(lambda: server.open_streams == 1)
        for number in range(10):
            server.say("lobby", str(number))
        await asyncio.sleep(0.1)
        assert not any(isinstance(update, Happened | StatusIs) and update != face.told[0] for update in face.told)
        gate.set()
        await face.until(lambda: face.chat.rooms["lobby"].unread == 10)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_words_are_found_also_where_the_server_cannot_search(server: FakeServer) -> None:
    for number in range(300):
        server.say("lobby", f"a needle, {number}" if number % 100 == 0 else f"hay {number}")
    async with face_at(server) as face:
        found, is_all = await face.engine.search("lobby", "Needle a")
        assert [row["text"] for row in found] == ["a needle, 200", "a needle, 100", "a needle, 0"]
        assert is_all
        assert await face.engine.search("lobby", "thimble") == ([], True)
        assert await face.engine.search("no-such-room", "x") == ([], False)
        assert face.failures() == ["Nothing could be searched"]
