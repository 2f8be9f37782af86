"""A reader's record has every event once, in order, or a gap in its place: whatever is cut, lost, repeated
or restarted.

A small server is played here: rooms with dense numbers and an epoch, one feed, cursors that are places in
the feed, several events a write with one id. It may lose events on the way (a hole), forget what a cursor
stands for (a gap), cut the connection after any byte, and lose the end of a room (a new epoch). The reader
commits when it likes and is killed when we like.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat_client.backoff import Backoff
from dchat_client.errors import StreamBroken
from dchat_client.items import Delivery, Gap
from dchat_client.position import Bookmark, Position
from dchat_client.session import Session

ROOMS = ("a", "b")


@dataclass
class Server:
    """The truth: `feed` in order, and what is now in each room."""

    feed: list[dict[str, Any]] = field(default_factory=list)
    rooms: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {room: [] for room in ROOMS})
    epoch: int = 1

    def post(self, room: str) -> None:
        log = self.rooms[room]
        log.append((self.epoch, len(log) + 1))
        epoch, seq = log[-1]
        self.feed.append({"type": "message", "room": room, "seq": seq, "epoch": epoch, "text": "x"})

    def lose_tail(self, room: str, count: int) -> None:
        self.epoch += 1
        del self.rooms[room][max(1, len(self.rooms[room]) - count) :]

    def page(self, room: str, first: int, last: int) -> list[dict[str, Any]]:
        rows = self.rooms[room][first - 1 : last]
        return [{"room": room, "epoch": epoch, "seq": seq, "text": "x"} for epoch, seq in rows]


def block(kind: str, data: dict[str, Any], cursor: int | None) -> str:
    identity = "" if cursor is None else f"id: {cursor}\n"
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n{identity}\n"


class Killed(Exception):
    """The reader's process ended at this point."""


@dataclass
class Reader:
    """A face: its record holds what it committed; what it was only handed dies with it."""

    server: Server
    dice: random.Random
    kills: float
    session: Session = field(default_factory=Session)
    stored: Bookmark | None = None
    record: list[tuple[str, int, int]] = field(default_factory=list)
    covered: dict[str, set[int]] = field(default_factory=lambda: {room: set() for room in ROOMS})
    held: list[Delivery] = field(default_factory=list)

    def start(self) -> None:
        self.held.clear()
        self.session = Session(rooms=ROOMS, bookmark=self.stored, backoff=Backoff(dice=self.dice.random))

    def take(self) -> None:
        """Take what there is; commit some of it, not always the last. Raises Killed."""
        for item in self.session.items():
            if isinstance(item, Gap):
                if self.held:
                    self.commit(len(self.held))
                self.recover(item)
                self.session.commit(item)
                self.stored = self.session.bookmark
            elif isinstance(item, Delivery):
                self.held.append(item)
                if self.dice.random() < 0.3:
                    self.commit(self.dice.randint(1, len(self.held)))
            self.maybe_die()

    def recover(self, gap: Gap) -> None:
        for part in gap.ranges:
            self.covered[part.room].update(range(part.first, part.last + 1))
            for message in self.server.page(part.room, part.first, part.last):
                if part.is_new(message):
                    self.record.append((part.room, message["epoch"], message["seq"]))
                    self.session.recovered(message)
                    self.stored = self.session.bookmark
                    self.maybe_die()

    def commit(self, count: int) -> None:
        """Commit the first `count` of what is held."""
        self.record += [(item.room, *item.position) for item in self.held[:count]]
        self.session.commit(self.held[count - 1])
        del self.held[:count]
        self.stored = self.session.bookmark

    def maybe_die(self) -> None:
        if self.dice.random() < self.kills:
            raise Killed


def connection(server: Server, cursor: str | None, dice: random.Random, faults: float) -> bytes:
    """The bytes a connection that resumes at `cursor` would carry, up to the present."""
    at = len(server.feed) if cursor is None else int(cursor)
    out = [block("hello", {"cursor": str(at), "rooms": list(ROOMS)}, at)]
    if cursor is not None and dice.random() < faults:
        # The place is forgotten: anything may be missing, and the server may even say too little.
        ends = {room: len(log) for room, log in server.rooms.items() if log}
        ranges = [{"room": room, "from": dice.randint(1, last), "to": last} for room, last in ends.items()]
        at = len(server.feed)
        out.append(block("gap", {"rooms": ranges, "refetch": True}, at))
    while at < len(server.feed):
        count = dice.randint(1, 4)
        write = server.feed[at : at + count]
        at += len(write)
        alive = [event for event in write if not (dice.random() < faults and is_followed(server, event))]
        for number, event in enumerate(alive):
            out.append(block("message", event, at if number == len(alive) - 1 else None))
        if dice.random() < 0.3:
            out.append(block("ping", {"cursor": str(at)}, None if dice.random() < 0.5 else at))
    return "".join(out).encode()


def is_followed(server: Server, event: dict[str, Any]) -> bool:
    """A loss shows only in what comes after it, so the last event of a room is not lost here."""
    return any(
        other["room"] == event["room"] and other is not event for other in server.feed[server.feed.index(event) + 1 :]
    )


def drive(seed: int, faults: float, steps: int, losses: bool) -> tuple[Server, Reader]:
    dice = random.Random(seed)
    server, now = Server(), 0.0
    reader = Reader(server, dice, kills=dice.choice([0.0, 0.05, 0.2]))
    for room in ROOMS:
        server.post(room)
    reader.stored = Bookmark("2", {room: Position(1, 1) for room in ROOMS})
    reader.start()
    for step in range(steps):
        now += 1
        for _ in range(dice.randint(0, 6)):
            server.post(dice.choice(ROOMS))
        attach = reader.session.connecting(now)
        stream = connection(server, attach.cursor, dice, faults)
        if step == steps - 1:
            reader.kills = 0.0
        else:
            stream = stream[: dice.randint(0, len(stream))]
        try:
            while stream:
                cut = dice.randint(1, 200)
                reader.session.receive(stream[:cut], now)
                stream = stream[cut:]
                if dice.random() < 0.8:
                    reader.take()
            if dice.random() < 0.8 or step == steps - 1:
                reader.take()
            reader.session.lost(now, "cut")
        except Killed:
            reader.start()
        if losses and dice.random() < 0.1 and step < steps - 2:
            server.lose_tail(dice.choice(ROOMS), dice.randint(1, 3))
    if reader.held:
        reader.commit(len(reader.held))
    return server, reader


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.3]), st.integers(1, 12))
def test_every_event_is_recorded_once_and_in_order_over_cuts_holes_gaps_and_restarts(
    seed: int, faults: float, steps: int
) -> None:
    server, reader = drive(seed, faults, steps, losses=False)
    for room in ROOMS:
        got = [(epoch, seq) for name, epoch, seq in reader.record if name == room]
        assert got == server.rooms[room][1:]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_no_hole_goes_unannounced_even_when_nothing_can_be_fetched(seed: int, steps: int) -> None:
    server, reader = drive(seed, 0.3, steps, losses=False)
    for room in ROOMS:
        seqs = {seq for name, _, seq in reader.record if name == room}
        assert seqs | reader.covered[room] >= set(range(2, len(server.rooms[room]) + 1))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_nothing_is_recorded_twice_also_when_rooms_lose_their_end(seed: int, steps: int) -> None:
    _, reader = drive(seed, 0.1, steps, losses=True)
    assert len(reader.record) == len(set(reader.record))
    for room in ROOMS:
        got = [(epoch, seq) for name, epoch, seq in reader.record if name == room]
        assert got == sorted(got)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_any_bytes_give_items_or_a_broken_stream(pieces: list[bytes]) -> None:
    session = Session()
    session.connecting(0.0)
    try:
        for piece in pieces:
            session.receive(piece, 0.0)
            for item in session.items():
                session.commit(item)
    except StreamBroken:
        session.lost(0.0, "broken")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_KINDS = st.sampled_from(["hello", "gap", "ping", "resumed", "reconnect", "degraded", "message", "member", "new"])
_NAMES = st.sampled_from(["rooms", "room", "seq", "epoch", "cursor", "after_ms", "user", "action", "replayed"])


@settings(deadline=None)
@given(st.lists(st.tuples(_KINDS, st.dictionaries(_NAMES, _JSON, max_size=5)), max_size=6))
def test_no_event_of_any_shape_breaks_the_session(events: list[tuple[str, dict[str, Any]]]) -> None:
    session = Session(me="ada")
    session.connecting(0.0)
    for kind, data in events:
        session.receive(block(kind, data, None).encode(), 0.0)
        for item in session.items():
            session.commit(item)
    assert session.bookmark == Bookmark.from_json(json.loads(json.dumps(session.bookmark.to_json())))
