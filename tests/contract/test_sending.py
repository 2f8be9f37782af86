"""Sends to real servers that lose replies, freeze, forget and come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dchat_server import wire
from dchat_server.adapters import redis_lanes, redis_nodes
from dchat_server.adapters.redis_durability import Durability
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.model import Sent
from dchat_server.ports import Amendment, Marker
from tests.contract.servers import create, draft
from tests.fakes import SHARDS
from tests.harness.redis import RedisServer
from tests.harness.wires import Wire, wire_to


class Through:
    """A log whose every byte passes through a wire that can be spoiled."""

    def __init__(self, server: RedisServer, wire: Wire, nodes: RedisNodes) -> None:
        self.server, self.wire, self.nodes = server, wire, nodes
        self.log, self.store = RedisRoomLog(nodes), RedisRoomStore(nodes)

    async def texts(self) -> list[str]:
        events = await self.log.read("hall", 0, 1000)
        return [wire.body_fields(event)["text"] for event in events if event.type == "message"]


@pytest_asyncio.fixture(params=["redis", "valkey"])
async def through(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Through]:
    monkeypatch.setattr(redis_nodes, "REPLY_S", 0.2)
    with RedisServer(kind=request.param) as server:
        async with wire_to(server.port) as spoiled:
            nodes = RedisNodes(f"redis://127.0.0.1:{spoiled.port}", SHARDS)
            await nodes.start()
            here = Through(server, spoiled, nodes)
            await create(here.store, "hall", "ada", "bob")
            await here.log.send("hall", draft("ada", "first"))  # the scripts are there
            try:
                yield here
            finally:
                await here.log.settle()
                await nodes.stop()
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("client_id", [None, "k"])
async def test_a_send_whose_reply_was_lost_is_stored_once(through: Through, client_id: str | None) -> None:
    through.wire.swallow(b"marked", times=2)
    sent = await through.log.send("hall", draft("ada", "marked", client_id))
    assert through.wire.spoiled == 2
    assert await through.texts() == ["first", "marked"]
    (event,) = await through.log.read("hall", sent.seq - 1, 1)
    assert (event.seq, event.epoch, event.ts) == (sent.seq, sent.epoch, sent.ts)


async def test_a_batch_whose_reply_was_lost_is_stored_once_and_answered_the_same(through: Through) -> None:
    drafts = [draft("ada", f"marked {number}", "k" if number % 3 == 0 else None) for number in range(6)]
    through.wire.swallow(b"marked")
    answers = await through.log.send_many("hall", drafts)
    places = [answer.seq for answer in answers if isinstance(answer, Sent)]
    clash = [answer.code for answer in answers if isinstance(answer, ChatError)]
    assert (places, clash) == ([5, 6, 7, 8, 9], ["idempotency_conflict"])
    assert await through.texts() == ["first", *(f"marked {number}" for number in (0, 1, 2, 4, 5))]


async def test_sends_beside_one_whose_reply_was_lost_are_stored_once_and_in_order(through: Through) -> None:
    through.wire.swallow(b'"7"')
    await asyncio.gather(*(through.log.send("hall", draft("ada", str(number))) for number in range(40)))
    assert await through.texts() == ["first", *map(str, range(40))]


async def test_sends_that_share_a_call_are_each_told_their_own(through: Through) -> None:
    """To two rooms of a shard, by turns and in rows, repeats and refusals among them."""
    shard = through.nodes.keys.shard
    other = next(name for number in range(99) if shard(name := f"other{number}") == shard("hall"))
    await create(through.store, other, "bob", "ada")
    await through.log.send(other, draft("ada", "once", "k"))
    rooms = "hall", other, "hall", "hall", other, other, other, "hall"
    sends = [(room, draft("ada" if number % 2 else "bob", f"{number}")) for number, room in enumerate(rooms)]
    sends.insert(3, ("hall", draft("eve", "no member")))
    sends.insert(6, (other, draft("ada", "once", "k")))
    before = through.log.send("hall", draft("ada", "first of them"))
    outcomes = await asyncio.gather(
        before, *(through.log.send(room, sent) for room, sent in sends), return_exceptions=True
    )
    told = outcomes[1:]
    assert isinstance(refused := told.pop(3), ChatError)
    assert refused.code == "not_a_member"
    assert isinstance(repeated := told.pop(5), Sent)
    assert repeated.repeated
    for number, (room, sent) in enumerate(zip(rooms, told, strict=True)):
        assert isinstance(sent, Sent)
        (event,) = await through.log.read(room, sent.seq - 1, 1)
        assert (event.seq, event.epoch, event.ts) == (sent.seq, sent.epoch, sent.ts)
        assert wire.body_fields(event)["text"] == f"{number}"
        assert not sent.repeated


async def test_a_feed_keeps_no_more_than_it_should(through: Through) -> None:
    """Redis drops blocks of a hundred entries, and the script looks for them only now and then."""
    shard = through.nodes.keys.shard("hall")
    feed = through.nodes.keys.feed(shard)
    for _ in range(86):
        await through.log.send_many("hall", [draft("ada", "x")] * 240)
    assert 20_000 <= await through.nodes.run(shard, "XLEN", feed) <= 20_000 + 100 + 64 + 240
    for _ in range(200):
        await through.log.send("hall", draft("ada", "x"))
    assert 20_000 <= await through.nodes.run(shard, "XLEN", feed) <= 20_000 + 100 + 64


async def test_all_other_changes_are_made_once_as_well(through: Through) -> None:
    """Each is an event of its own, so a repeat would show in the log."""
    head = (await through.log.read_back("hall", None, 1))[0].seq
    store, log, body = through.store, through.log, b'"sender":"ada"}'
    changes = [
        (b"amend-marked", lambda: log.amend("hall", "ada", Amendment("edit", 4, "amend-marked"))),
        (b"set-marked", lambda: store.set_member("hall", "ada", "set-marked", "invite", "member")),
        (b"topic-marked", lambda: store.update("hall", "ada", True, (), {"topic": "topic-marked"}, body)),
        (b"room-marked", lambda: create(store, "room-marked", "ada")),
        (b"read-marked", lambda: store.mark("ada", "hall", Marker(4, 1, 9, False), b'{"x":"read-marked"}')),
    ]
    for number, (mark, change) in enumerate(changes, 1):
        through.wire.swallow(mark)
        await change()  # type: ignore[no-untyped-call]
        assert through.wire.spoiled == number
    assert [event.type for event in await log.read("hall", head, 10)] == ["edit", "member", "room"]
    assert [event.type for event in await log.read("room-marked", 0, 10)] == ["room", "member"]


async def test_connections_that_are_cut_again_and_again_lose_and_double_nothing(through: Through) -> None:
    through.wire.cut_replies = 0.3

    async def sender(user: str) -> list[str]:
        stored = []
        for number in range(20):
            for _ in range(20):
                try:
                    await through.log.send("hall", draft(user, f"{user} {number}", f"k{number}"))
                    stored.append(f"{user} {number}")
                    break
                except BackendUnavailable:
                    pass
        return stored

    sent = await asyncio.gather(sender("ada"), sender("bob"))
    through.wire.cut_replies = 0.0
    said = await through.texts()
    assert through.wire.spoiled > 5
    for stored in sent:
        assert len(stored) == 20
        assert [text for text in said if text in set(stored)] == stored


async def test_a_frozen_server_is_given_up_in_time(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (redis_lanes, redis_nodes):
        monkeypatch.setattr(module, "DEADLINE_S", 0.5)
    through.wire.blocked = True
    began = time.monotonic()
    sends = [through.log.send("hall", draft("ada", str(number))) for number in range(600)]
    other = [through.log.read("hall", 0, 10), through.store.seats("ada", ["hall"])]
    told = await asyncio.gather(*sends, *other, return_exceptions=True)
    assert all(isinstance(error, BackendUnavailable) for error in told)
    assert time.monotonic() - began < 5
    through.wire.blocked = False
    through.wire.cut()
    await asyncio.sleep(0.1)
    monkeypatch.setattr(redis_lanes, "DEADLINE_S", 5)
    assert (await through.log.send("hall", draft("ada", "again"))).seq > 4


async def test_a_connection_that_breaks_as_it_is_written_to_costs_nobody_their_message(through: Through) -> None:
    class Broken:
        def write(self, data: bytes) -> None:
            raise RuntimeError("the handler is closed")

        def abort(self) -> None:
            pass

    (hot,) = [each for (_, lane), each in through.nodes._wires.items() if lane == redis_nodes.HOT]
    hot._transport.abort()
    hot._transport = Broken()  # type: ignore[assignment]
    await through.log.send("hall", draft("ada", "second"))
    assert await through.texts() == ["first", "second"]


async def test_what_is_not_safe_yet_is_not_acknowledged(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica is asked for, and there is none. Of three sends the first opens the connection."""
    monkeypatch.setattr(redis_lanes, "DEADLINE_S", 0.3)
    monkeypatch.setattr(redis_nodes, "REPLY_S", 20)  # Redis itself waits for a second
    nodes = RedisNodes(through.server.url, SHARDS, durability=Durability("replicated"))
    await nodes.start()
    log = RedisRoomLog(nodes)
    for number in range(3):
        with pytest.raises(BackendUnavailable):
            await log.send("hall", draft("ada", f"{number}", f"k{number}"))
    await log.settle()
    await nodes.stop()
    assert await through.texts() == ["first", "0", "1", "2"], "accepted, once, and not promised"


async def test_a_server_that_is_full_says_so_at_once_and_stores_nothing(through: Through) -> None:
    await asyncio.to_thread(through.server.ask, "CONFIG", "SET", "maxmemory", "1")
    began = time.monotonic()
    for work in (
        through.log.send("hall", draft("ada", "x")),
        through.log.amend("hall", "ada", Amendment("add", 4, "x")),
        through.store.set_member("hall", "ada", "eve", "invite", "member"),
    ):
        with pytest.raises(BackendUnavailable):
            await work
    assert time.monotonic() - began < 3
    assert await through.texts() == ["first"]  # reading goes on
    await asyncio.to_thread(through.server.ask, "CONFIG", "SET", "maxmemory", "0")
    await through.log.send("hall", draft("ada", "y"))
    assert [event.seq for event in await through.log.read("hall", 0, 100)] == [1, 2, 3, 4, 5]
