"""Opening streams, one case at a time; all interleavings are in tests/property/."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dchat_server import attach, window, wire
from dchat_server.attach import Opened, Opener
from dchat_server.cursor import Cursor
from dchat_server.errors import ChatError
from dchat_server.hub import Hub
from dchat_server.model import Event, Position
from dchat_server.pump import Pump
from dchat_server.stream import Stream
from tests.fakes import MemoryCluster, MemoryFeed, MemoryNodes, MemoryRoomLog, MemoryRoomStore
from tests.property.sse import decode


class Out:
    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        pass

    abort = close

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(each.data) for each in decode(b"".join(self.writes))]


class Here:
    """A worker that reads its feed when it is told to."""

    def __init__(self, shards: int = 4) -> None:
        self.cluster = MemoryCluster(shards)
        self.nodes = MemoryNodes(self.cluster)
        self.log, self.store = MemoryRoomLog(self.nodes), MemoryRoomStore(self.nodes)
        self.feed = MemoryFeed(self.nodes)

    async def begin(self, *rooms: str) -> Here:
        for room in rooms:
            await self.store.create(room, "public", "ada", {"ada": "owner"}, topic="", display_name="")
        places = await self.feed.start(0)
        self.hub = Hub([places[shard] for shard in sorted(places)], self.cluster.shard)
        self.pump = Pump(self.feed, self.hub, self.log)
        self.opener = Opener(self.hub, self.pump, self.log, self.store, self.nodes.state, "w1")
        return self

    def say(self, room: str, text: str = "hi") -> None:
        self.cluster.append(room, "message", wire.fields(sender="ada", text=text))

    async def read(self) -> None:
        await self.pump._publish([change for shard in self.feed.positions for change in self.feed.take(shard, 1000)])

    @property
    def cursor(self) -> str:
        return self.hub.cursor.encode().decode()

    async def open(
        self,
        cursor: str | None = None,
        *,
        user: str = "ada",
        rooms: tuple[str, ...] | None = None,
        since: int | None = None,
    ) -> tuple[Opened, Out]:
        out = Out()
        opened = await self.opener.open(Stream(user, "d", out, wanted=rooms), cursor, since)

        async def drain() -> None:
            pass

        await self.opener.run(opened, "now", drain)
        self.hub.go_live(opened.stream)
        return opened, out


def types(out: Out) -> list[str]:
    return [event["type"] for event in out.told]


async def test_a_stream_without_a_place_says_hello_and_nothing_old() -> None:
    here = await Here().begin("hall")
    here.say("hall")
    await here.read()
    _, out = await here.open()
    assert out.told == [
        {"type": "hello", "worker": "w1", "protocol": 1, "time": "now", "rooms": ["hall"], "cursor": here.cursor}
    ]


async def test_what_the_window_still_has_comes_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    here = await Here().begin("hall")
    cursor = here.cursor
    for _ in range(3):
        here.say("hall")
    await here.read()
    monkeypatch.setattr(here.log, "read", None)
    monkeypatch.setattr(here.log, "locate", None)
    _, out = await here.open(cursor)
    assert types(out) == ["hello", "message", "message", "message", "resumed"]


async def test_what_it_has_not_comes_from_the_logs_merged_as_it_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MAX_ENTRIES", 2)
    rooms = [f"room{number}" for number in range(8)]
    here = await Here(shards=1).begin(*rooms)
    cursor = here.cursor
    for number in range(400):
        here.say(rooms[number * 7 % 8 if number % 5 else 0], str(number))
    await here.read()
    _, out = await here.open(cursor)
    assert [event["text"] for event in out.told[1:-1]] == [str(number) for number in range(400)]
    assert out.told[-1] == {"type": "resumed", "replayed": 400}


@pytest.mark.parametrize("kept", [2, 4096])
async def test_pages_are_bounded_in_events_and_bytes(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(window, "MAX_ENTRIES", kept)
    monkeypatch.setattr(attach, "PAGE", 20)
    monkeypatch.setattr(attach, "PAGE_BYTES", 5000)
    here = await Here(shards=1).begin("hall")
    cursor = here.cursor
    for number in range(100):
        here.say("hall", "x" * (2000 if number < 20 else 1))
    await here.read()
    _, out = await here.open(cursor)
    pages = [decode(data) for data in out.writes[1:-1]]
    assert sum(map(len, pages)) == 100
    assert max(map(len, pages)) == 20
    assert max(map(len, out.writes)) < 5000 + 2500
    assert all(page[-1].last_id and not page[0].last_id for page in pages if len(page) > 1)


async def test_a_reader_whose_worker_was_ahead_waits_for_this_one() -> None:
    here = await Here().begin("hall")
    here.say("hall")
    ahead = Cursor(tuple(Position(shard.epoch, shard.head) for shard in here.cluster.shards)).encode()
    opening = asyncio.create_task(here.open(ahead))
    await asyncio.sleep(0.02)
    assert not opening.done()
    await here.read()
    _, out = await opening
    assert types(out) == ["hello", "resumed"]
    here.say("hall")
    await here.read()
    assert types(out) == ["hello", "resumed", "message"]


async def test_a_place_that_never_was_is_not_waited_for() -> None:
    here = await Here().begin("hall")
    far = Cursor(tuple(Position(shard.epoch, shard.head + 10**7) for shard in here.cluster.shards)).encode()
    began = asyncio.get_running_loop().time()
    _, out = await here.open(far)
    assert asyncio.get_running_loop().time() - began < 1
    assert types(out) == ["hello", "gap", "resumed"]


async def test_a_place_a_little_ahead_that_does_not_come_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "CATCH_UP_S", 0.05)
    here = await Here().begin("hall")
    ahead = Cursor(tuple(Position(shard.epoch, shard.head + 3) for shard in here.cluster.shards)).encode()
    _, out = await here.open(ahead)
    assert types(out) == ["hello", "gap", "resumed"]


async def test_a_reader_from_an_epoch_that_lost_its_tail_goes_on_where_the_tail_began() -> None:
    here = await Here().begin("hall")
    here.say("hall", "kept")
    kept = here.cluster.snapshot(here.cluster.shard("hall"))
    here.say("hall", "lost")
    here.say("hall", "lost")
    await here.read()
    cursor = here.cursor
    here.cluster.restart(here.cluster.shard("hall"), kept)
    here.say("hall", "new")
    await here.read()
    await here.read()
    _, out = await here.open(cursor)
    assert types(out) == ["hello", "gap", "message", "resumed"]
    assert out.told[1]["rooms"] == [{"room": "hall", "from": 4, "to": 4}]
    assert (out.told[2]["text"], out.told[2]["seq"], out.told[2]["epoch"]) == ("new", 4, 1001)


async def test_a_reader_from_an_epoch_that_kept_its_tail_notices_nothing() -> None:
    here = await Here().begin("hall")
    here.say("hall", "one")
    await here.read()
    cursor = here.cursor
    for _ in range(3):
        here.cluster.restart(here.cluster.shard("hall"))
        here.say("hall", "more")
    await here.read()
    _, out = await here.open(cursor)
    assert types(out) == ["hello", *["message"] * 3, "resumed"]


@pytest.mark.parametrize("kept_entries", [2, 4096])
async def test_what_a_newer_epoch_has_written_is_left_to_the_live_stream(
    monkeypatch: pytest.MonkeyPatch, kept_entries: int
) -> None:
    """The tail is lost between the seat and the replay, and new events have taken the places of the lost ones."""
    monkeypatch.setattr(window, "MAX_ENTRIES", kept_entries)
    here = await Here(shards=1).begin("hall")
    cursor, out = here.cursor, Out()
    here.say("hall", "kept")
    kept = here.cluster.snapshot(0)
    for _ in range(3):
        here.say("hall", "lost")
    await here.read()
    stream = Stream("ada", "d", out)
    opened = await here.opener.open(stream, cursor, None)
    here.cluster.restart(0, kept)
    for number in range(5):
        here.say("hall", f"new {number}")
    if kept_entries > 2:
        await here.read()

    async def drain() -> None:
        pass

    await here.opener.run(opened, "now", drain)
    here.hub.go_live(stream)
    for _ in range(2):
        await here.read()
    texts = [event["text"] for event in out.told if event["type"] == "message"]
    assert [text for text in texts if text.startswith("new")] == [f"new {number}" for number in range(5)]
    assert types(out).count("gap") == 1
    assert types(out).index("gap") < types(out).index("message", types(out).index("resumed"))


async def test_a_gap_is_in_the_write_of_the_hello_and_the_place_behind_it_comes_last() -> None:
    here = await Here().begin("hall")
    _, out = await here.open("nonsense")
    hello, gap = decode(out.writes[0])
    assert (hello.type, gap.type) == ("hello", "gap")
    assert (hello.last_id, json.loads(hello.data)["cursor"]) == ("", "nonsense")
    assert gap.last_id == here.cursor


async def test_a_gap_names_only_rooms_of_this_reader() -> None:
    here = await Here().begin("hall")
    await here.store.create("den", "private", "bob", {"bob": "owner"}, topic="", display_name="")
    await here.read()
    _, out = await here.open("nonsense")
    assert [each["room"] for each in out.told[1]["rooms"]] == ["hall"]


async def test_since_begins_with_the_first_event_that_is_not_older() -> None:
    here = await Here().begin("hall", "yard")
    for number in range(10):
        here.say(("hall", "yard")[number % 2], str(number))
    await here.read()
    _, out = await here.open(since=here.cluster.now_ms - 3)
    assert sorted(event["text"] for event in out.told[1:-1]) == ["6", "7", "8", "9"]
    _, out = await here.open(since=here.cluster.now_ms + 1000)
    assert types(out) == ["hello", "resumed"]


async def test_since_leaves_out_a_room_whose_first_event_is_lost_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = await Here().begin("hall", "yard")
    for room in ("hall", "yard"):
        here.say(room, room)
    await here.read()
    read = here.log.read

    async def lost(room: str, after: int, limit: int) -> list[Event]:
        return [] if room == "hall" and limit == 1 else await read(room, after, limit)

    monkeypatch.setattr(here.log, "read", lost)
    _, out = await here.open(since=here.cluster.now_ms - 1)
    assert [event["text"] for event in out.told[1:-1]] == ["yard"]


async def test_a_room_that_may_not_be_read_refuses_the_whole_stream() -> None:
    here = await Here().begin("hall")
    for rooms in (("nowhere",), ("hall", "nowhere")):
        with pytest.raises(ChatError) as refused:
            await here.open(rooms=rooms)
        assert refused.value.code == "room_not_found"


async def test_a_reader_that_was_let_go_is_not_replayed_what_was_said_since() -> None:
    here = await Here().begin("hall")
    await here.store.set_member("hall", "ada", "bob", "invite", "member")
    await here.read()
    cursor = here.cursor
    await here.store.set_member("hall", "ada", "bob", "kick", "")
    here.say("hall", "secret")
    await here.read()
    _, out = await here.open(cursor, user="bob")
    assert types(out) == ["hello", "resumed"]
    assert b"secret" not in b"".join(out.writes)
