"""Workers whose every wait is in the test's hands, and readers that check what they are told against the log.

A `Rig` runs real Hubs, Pumps and Openers over the log in memory. Nothing goes on by itself: each call of a port, each
wait for a slow client and each read of the feed waits until the test lets it, so a test chooses the interleaving.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from typing import Any

from dchat_server import wire
from dchat_server.attach import Opened, Opener
from dchat_server.cursor import Cursor
from dchat_server.errors import ChatError
from dchat_server.hub import Hub
from dchat_server.model import DURABLE_TYPES, Draft, Event
from dchat_server.pump import Pump
from dchat_server.stream import CLOSED, REPLAYING, Stream
from tests.fakes import MemoryCluster, MemoryFeed, MemoryNodes, MemoryRoomLog, MemoryRoomStore
from tests.property.sse import decode


class Outlet:
    """A connection that remembers each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert data
        assert not self.closed, "written to a connection that was closed"
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    abort = close


class Rig:
    """The cluster, its workers, and the gates everything waits at. `rooms`: name → kind; `owner` is in all of them."""

    def __init__(self, shards: int, workers: int, rooms: Mapping[str, str]) -> None:
        self.loop = asyncio.new_event_loop()
        self.cluster = MemoryCluster(shards)
        self.gates: list[asyncio.Future[None]] = []
        nodes = MemoryNodes(self.cluster)
        self.log, self.store = MemoryRoomLog(nodes), MemoryRoomStore(nodes)
        for room, kind in rooms.items():
            self.now(self.store.create(room, kind, "owner", {"owner": "owner"}, topic="", display_name=room))
        self.workers = [Worker(self, f"w{number}") for number in range(workers)]

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something that waits for nothing."""
        return self.loop.run_until_complete(work)

    def say(self, user: str, room: str, text: str) -> None:
        if user in self.cluster.home(room).rooms[room].members:
            self.now(self.log.send(room, Draft(user, text, wire.draft_body(user, text, None, None))))

    def let_in(self, user: str, room: str) -> None:
        self.now(self.store.set_member(room, "owner", user, "invite", "member"))

    def let_go(self, user: str, room: str) -> None:
        self.now(self.store.set_member(room, "owner", user, "kick", ""))

    def settle(self) -> None:
        """Let everything run up to its next gate."""

        async def turns() -> None:
            for _ in range(12):
                await asyncio.sleep(0)

        self.now(turns())

    def wait(self, seconds: float) -> None:
        """Let time-outs pass."""
        self.now(asyncio.sleep(seconds))

    async def gate(self) -> None:
        future: asyncio.Future[None] = self.loop.create_future()
        self.gates.append(future)
        await future

    def open_gate(self, which: int) -> None:
        self.gates = [gate for gate in self.gates if not gate.done()]
        if self.gates:
            self.gates.pop(which % len(self.gates)).set_result(None)
        self.settle()

    def open_all(self) -> None:
        while self.gates:
            self.open_gate(0)

    def quiet(self) -> None:
        """Read everything, let everybody through, until nothing moves any more."""
        for _ in range(10):
            self.open_all()
            for worker in self.workers:
                worker.read([(shard, 1000) for shard in range(len(self.cluster.shards))])
            self.open_all()

    def close(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.now(asyncio.wait(tasks) if tasks else asyncio.sleep(0))
        self.loop.close()

    # --- what the log says ----------------------------------------------------------------------------------------

    def events(self, room: str) -> list[Event]:
        return self.cluster.home(room).rooms[room].log

    def log_of(self, room: str) -> list[Event]:
        """The same, for a room that may be gone."""
        here = self.cluster.home(room).rooms.get(room)
        return here.log if here is not None else []

    def stays(self, user: str, room: str) -> list[tuple[int, float]]:
        """From which seq to which seq somebody was in the room."""
        out: list[tuple[int, float]] = []
        for event in self.events(room):
            fields = wire.body_fields(event)
            if event.type == "member" and fields["user"] == user:
                inside = bool(out) and out[-1][1] == float("inf")
                if fields["role"] is not None and not inside:
                    out.append((event.seq, float("inf")))
                elif fields["role"] is None and inside:
                    out[-1] = (out[-1][0], event.seq)
        return out


class Worker:
    """One worker of the rig."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.rig = rig
        nodes = MemoryNodes(rig.cluster, rig.gate)
        log, rooms = MemoryRoomLog(nodes), MemoryRoomStore(nodes)
        self.feed = MemoryFeed(nodes)
        positions = rig.now(self.feed.start(backlog=3))
        self.hub = Hub([positions[shard] for shard in sorted(positions)], rig.cluster.shard)
        self.pump = Pump(self.feed, self.hub, log)
        self.opener = Opener(self.hub, self.pump, log, rooms, nodes.state, name)
        self._publishing: asyncio.Task[None] | None = None

    def read(self, amounts: list[tuple[int, int]]) -> None:
        """The pump reads so many entries of these shards, unless it is still busy with the last read."""
        if self._publishing is None or self._publishing.done():
            changes = [change for shard, limit in amounts for change in self.feed.take(shard, limit)]
            self._publishing = self.rig.loop.create_task(self.pump._publish(changes))
            self.rig.settle()
            if self._publishing.done():
                self._publishing.result()

    def attach(
        self, user: str, *, wanted: tuple[str, ...] | None, cursor: str | None, since_ms: int | None, lines: bool
    ) -> Session:
        stream = Stream(user, f"digest of {user}", Outlet(), wanted=wanted, lines=lines, expires_at=None)
        session = Session(self, stream, cursor)
        session.task = self.rig.loop.create_task(session.run(cursor, since_ms))
        self.rig.settle()
        return session


class Session:
    """One connection of a reader. `check` holds everything it was told against the log."""

    def __init__(self, worker: Worker, stream: Stream, cursor: str | None) -> None:
        self.worker, self.stream, self.cursor = worker, stream, cursor
        self.out = Outlet()
        self.task: asyncio.Task[None] | None = None
        self.opened: Opened | None = None
        self.refused = False

    async def run(self, cursor: str | None, since_ms: int | None) -> None:
        """What http/events.py does with a stream."""
        hub = self.worker.hub
        try:
            self.opened = await self.worker.opener.open(self.stream, cursor, since_ms)
            if self.stream.mode == CLOSED:
                return
            self.stream.out = self.out  # nothing was told before: there was no connection yet
            await self.worker.opener.run(self.opened, "2026-11-23T06:04:00.000Z", self.worker.rig.gate)
            hub.go_live(self.stream)
        except ChatError as error:
            if error.code != "room_not_found":
                raise
            self.refused = True
            hub.drop(self.stream)

    @property
    def is_open(self) -> bool:
        return self.stream.mode != CLOSED and not self.refused

    @property
    def is_live(self) -> bool:
        return self.stream.mode < REPLAYING

    def up_to_the_seat(self) -> None:
        """Let only this one through, until it is seated and has begun to replay."""
        rig = self.worker.rig
        others = [gate for gate in rig.gates if not gate.done()]
        for _ in range(20):
            mine = [gate for gate in rig.gates if not gate.done() and gate not in others]
            if self.stream.queue is not None or not mine:
                return
            rig.gates.remove(mine[0])
            mine[0].set_result(None)
            rig.settle()

    def hang_up(self) -> None:
        self.worker.hub.drop(self.stream)
        self.out.closed = True
        assert self.task is not None
        self.task.cancel()
        self.worker.rig.settle()

    def told(self, writes: int | None = None) -> list[tuple[list[dict[str, Any]], str | None]]:
        """Each write as (events, cursor)."""
        out = []
        for data in self.out.writes[:writes]:
            if self.stream.lines:
                events = [json.loads(line) for line in data.decode().splitlines()]
                cursor = events[-1].get("cursor")
            else:
                seen = decode(data)
                assert b"".join(data.split(b"\n\n")[-1:]) == b"", "a write ends an event"
                events = [json.loads(each.data) for each in seen]
                assert [event["type"] for event in events] == [each.type for each in seen]
                assert all(each.last_id == "" for each in seen[:-1])
                cursor = seen[-1].last_id or None
            out.append((events, cursor))
        return out

    def last_cursor(self, writes: int | None = None) -> str | None:
        """What a client would come back with that got so many writes."""
        found = self.cursor
        for _, cursor in self.told(writes):
            found = cursor or found
        return found

    def check(self) -> dict[str, int]:
        """Everything that must hold of what was told so far; the place reached in each room that is followed."""
        rig, user, wanted = self.worker.rig, self.stream.user, self.stream.wanted
        reached: dict[str, int] = {}
        for number, (events, cursor) in enumerate(self.told()):
            if number == 0:
                assert [event["type"] for event in events] in (["hello"], ["hello", "gap"])
                start = Cursor.decode(cursor or "")
                assert start is not None
                assert events[0]["cursor"] == (cursor if len(events) == 1 else self.cursor)
                for room in events[0]["rooms"]:
                    reached[room] = behind(rig, room, start)
            for event in events:
                if event["type"] in DURABLE_TYPES:
                    self._check_event(rig, event, reached)
            place = Cursor.decode(cursor) if cursor else None
            assert (place is None) == (cursor is None)
            if place is not None:
                for room, seq in reached.items():
                    assert seq == behind(rig, room, place), f"the cursor of write {number} is not where {room} is"
        if wanted is not None:
            assert reached.keys() <= set(wanted)
        for room in reached:
            assert rig.stays(user, room) or self._is_public(room), f"{user} follows {room} but was never in it"
        return reached

    def _check_event(self, rig: Rig, event: dict[str, Any], reached: dict[str, int]) -> None:
        user, room, seq = self.stream.user, event["room"], event["seq"]
        original = rig.events(room)[seq - 1]
        assert json.loads(wire.event_data(original)) == {name: event[name] for name in event if name != "cursor"}
        may_see = any(left >= seq for _, left in rig.stays(user, room))
        assert may_see or self._is_public(room), f"{user} was told {room}:{seq} and was not in the room"
        own = event["type"] == "member" and event["user"] == user
        if room in reached:
            assert seq == reached[room] + 1, f"{room}: {seq} after {reached[room]}"
        else:
            assert own, f"{room}:{seq} came before {user} joined"
            assert event["role"] is not None
        reached[room] = seq
        assert self.opened is not None
        replayed = original.offset <= self.opened.end.positions[rig.cluster.shard(room)].offset
        if own and event["role"] is None and not replayed and not self._is_public(room):
            del reached[room]  # (one that is told of a leave by the replay is back in the room)

    def _is_public(self, room: str) -> bool:
        wanted = self.stream.wanted
        return wanted is not None and room in wanted and self.worker.rig.cluster.home(room).rooms[room].kind == "public"


def behind(rig: Rig, room: str, place: Cursor) -> int:
    """The seq of the room's last event that lies before a place."""
    offset = place.positions[rig.cluster.shard(room)].offset
    return sum(event.offset <= offset for event in rig.events(room))
