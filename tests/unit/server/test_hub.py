"""The hub's parts one by one; what holds over all interleavings is in tests/property/test_server_handoff.py."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import pytest

from dchat_server import hub as hub_module
from dchat_server import wire
from dchat_server.cursor import Cursor
from dchat_server.hub import Hub
from dchat_server.model import Control, Event, Position
from dchat_server.ports import Batch
from dchat_server.stream import CLOSED, LIVE, LIVE_LINES, REPLAYING, Stream
from tests.property.sse import decode


class Out:
    """A connection; `broken` ones raise, as a transport of uvloop does that was closed."""

    def __init__(self, *, broken: bool = False) -> None:
        self.writes: list[bytes] = []
        self.broken, self.ended = broken, ""

    def write(self, data: bytes) -> None:
        if self.broken:
            raise RuntimeError("the handler is closed")
        self.writes.append(data)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(each.data) for each in decode(b"".join(self.writes))]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.told]


class Feed:
    """Makes batches: each event gets the next place of its shard and of its room."""

    def __init__(self, shards: int = 2) -> None:
        self.offsets, self.seqs = [0] * shards, dict[str, int]()
        self.epoch = 7

    def event(self, room: str, kind: str = "message", **fields: Any) -> Event:
        shard = shard_of(room)
        self.offsets[shard] += 1
        seq = self.seqs[room] = self.seqs.get(room, 0) + 1
        body = wire.fields(**{"sender": "ada", "text": f"{room} {seq}"} | fields)
        return Event(room, self.epoch, seq, kind, 0, body, self.offsets[shard], seq)

    def member(self, room: str, user: str, role: str | None = "member") -> Event:
        return self.event(room, "member", user=user, action="join" if role else "leave", role=role)

    def control(self, kind: str, user: str, **fields: Any) -> Control:
        self.offsets[0] += 1
        return Control(kind, user, json.dumps(fields).encode())

    def batch(self, *entries: Event | Control) -> Batch:
        first = entries[0]
        shard = shard_of(first.room) if isinstance(first, Event) else 0
        return Batch(shard, entries, Position(self.epoch, self.offsets[shard]))


def shard_of(room: str) -> int:
    return 1 if room.startswith("b") else 0


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def hub() -> Hub:
    return Hub([Position(7, 0), Position(7, 0)], shard_of, slots=3)


def stream_in(
    hub: Hub,
    rooms: Sequence[str],
    user: str = "ada",
    *,
    lines: bool = False,
    wanted: tuple[str, ...] | None = None,
    live: bool = True,
    broken: bool = False,
    expires_at: int | None = None,
    public: bool = False,
) -> tuple[Stream, Out]:
    out = Out(broken=broken)
    stream = Stream(user, "digest of " + user, out, wanted=wanted, lines=lines, expires_at=expires_at)
    hub.watch(stream)
    hub.seat(stream, dict.fromkeys(rooms, public))
    if live:
        hub.go_live(stream)
    return stream, out


# --- delivery -------------------------------------------------------------------------------------------------------


def test_all_streams_of_a_room_are_given_the_same_bytes_object(hub: Hub, feed: Feed) -> None:
    outs = [stream_in(hub, ["a1"], f"user{number}")[1] for number in range(5)]
    hub.publish(feed.batch(feed.event("a1"), feed.event("a1")))
    hub.flush()
    assert all(len(out.writes) == 1 for out in outs)
    assert len({id(out.writes[0]) for out in outs}) == 1
    assert hub.delivered == 10


def test_nothing_is_written_before_the_flush_and_nothing_twice(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a1"])
    hub.publish(feed.batch(feed.event("a1")))
    assert not out.writes
    hub.flush()
    hub.flush()
    assert [event["seq"] for event in out.told] == [1]


def test_what_happens_in_several_rooms_is_one_write_with_the_cursor_behind_all_of_it(hub: Hub, feed: Feed) -> None:
    _, both = stream_in(hub, ["a1", "b1"])
    _, one = stream_in(hub, ["a1"], "bob")
    _, other = stream_in(hub, ["b1"], "cat")
    hub.publish(feed.batch(feed.event("a1"), feed.event("a1")))
    hub.publish(feed.batch(feed.event("b1")))
    hub.flush()
    assert [len(out.writes) for out in (both, one, other)] == [1, 1, 1]
    assert sorted((event["room"], event["seq"]) for event in both.told) == [("a1", 1), ("a1", 2), ("b1", 1)]
    assert [event["room"] for event in one.told] == ["a1", "a1"]
    assert [event["room"] for event in other.told] == ["b1"]
    for out in (both, one, other):
        seen = decode(out.writes[0])
        assert Cursor.decode(seen[-1].last_id) == Cursor((Position(7, 2), Position(7, 1)))
        assert all(each.last_id == "" for each in seen[:-1])


def test_streams_in_the_same_rooms_share_the_bytes_of_a_write_over_several_rooms(hub: Hub, feed: Feed) -> None:
    outs = [stream_in(hub, ["a1", "a2"], f"user{number}")[1] for number in range(4)]
    hub.publish(feed.batch(feed.event("a1"), feed.event("a2")))
    hub.flush()
    assert len({id(out.writes[0]) for out in outs}) == 1


def test_a_stream_of_lines_gets_lines(hub: Hub, feed: Feed) -> None:
    stream, out = stream_in(hub, ["a1"], lines=True)
    assert stream.mode == LIVE_LINES
    hub.publish(feed.batch(feed.event("a1"), feed.event("a1")))
    hub.flush()
    first, last = map(json.loads, out.writes[0].splitlines())
    assert (first["seq"], last["seq"], "cursor" in first) == (1, 2, False)
    assert Cursor.decode(last["cursor"]) == hub.cursor.snapshot()


def test_rooms_nobody_is_in_cost_no_write_but_move_the_cursor(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a1"])
    hub.publish(feed.batch(feed.event("a2")))
    hub.flush()
    assert not out.writes
    assert hub.cursor.positions[0] == Position(7, 1)


def test_a_connection_that_raises_is_dropped_and_the_others_are_served(hub: Hub, feed: Feed) -> None:
    broken, _ = stream_in(hub, ["a1"], "bob", broken=True)
    _, out = stream_in(hub, ["a1"])
    hub.publish(feed.batch(feed.event("a1")))
    hub.flush()
    assert broken.mode == CLOSED
    assert [event["seq"] for event in out.told] == [1]
    assert hub.count == 1


# --- replay → live --------------------------------------------------------------------------------------------------


def test_what_comes_during_a_replay_is_written_when_it_is_over(hub: Hub, feed: Feed) -> None:
    stream, out = stream_in(hub, ["a1"], live=False)
    hub.publish(feed.batch(feed.event("a1")))
    hub.flush()
    hub.publish(feed.batch(feed.event("a1")))
    assert not out.writes
    hub.flush()
    hub.go_live(stream)
    assert [event["seq"] for event in out.told] == [1, 2]
    assert stream.mode == LIVE


def test_the_cursor_of_a_seat_is_where_its_queue_begins(hub: Hub, feed: Feed) -> None:
    _, first = stream_in(hub, ["a1"])
    hub.publish(feed.batch(feed.event("a1")))  # published, but not flushed when the seat is taken
    out = Out()
    late = Stream("bob", "d", out, wanted=None, lines=False, expires_at=None)
    hub.watch(late)
    end = hub.seat(late, {"a1": False})
    hub.publish(feed.batch(feed.event("a1")))
    hub.flush()
    hub.go_live(late)
    assert end == Cursor((Position(7, 1), Position(7, 0)))
    assert [event["seq"] for event in out.told] == [2]
    assert [event["seq"] for event in first.told] == [1, 2]


def test_a_replay_that_falls_too_far_behind_is_cut(hub: Hub, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_QUEUED_BYTES", 1000)
    stream, out = stream_in(hub, ["a1"], live=False)
    for _ in range(20):
        hub.publish(feed.batch(feed.event("a1")))
        hub.flush()
    assert (stream.mode, out.ended, out.writes) == (CLOSED, "aborted", [])
    assert hub.closed_slow == 1
    assert stream.queue is None


def test_changes_between_reading_memberships_and_the_seat_are_not_missed(hub: Hub, feed: Feed) -> None:
    stream = Stream("bob", "d", Out(), wanted=None, lines=False, expires_at=None)
    hub.watch(stream)
    hub.publish(feed.batch(feed.member("a1", "bob"), feed.member("a2", "bob", None)))
    hub.seat(stream, {"a2": False, "a3": False})
    assert sorted(channel.name for channel in stream.channels) == ["a1", "a3"]


def test_a_stream_that_was_closed_before_its_seat_takes_none(hub: Hub) -> None:
    stream = Stream("bob", "d", Out(), wanted=None, lines=False, expires_at=None)
    hub.watch(stream)
    hub.close(stream)
    hub.seat(stream, {"a1": False})
    assert not hub.rooms_on(0)


# --- members --------------------------------------------------------------------------------------------------------


def test_who_joins_sees_their_join_first_and_who_leaves_their_leave_last(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a2"], "bob")
    join, leave = (feed.event("a1"), feed.member("a1", "bob")), (feed.event("a1"), feed.member("a1", "bob", None))
    hub.publish(feed.batch(*join, *leave, feed.event("a1")))
    hub.flush()
    assert [(event["type"], event["seq"]) for event in out.told] == [("member", 2), ("message", 3), ("member", 4)]


def test_the_write_before_a_join_carries_the_cursor_right_behind_it(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a1"], "ada")
    stream_in(hub, ["a2"], "bob")
    hub.publish(feed.batch(feed.event("a1"), feed.event("a1"), feed.member("a1", "bob"), feed.event("a1")))
    hub.flush()
    cursors = [decode(data)[-1].last_id for data in out.writes]
    assert [Cursor.decode(cursor).positions[0].offset for cursor in cursors] == [2, 4]  # type: ignore[union-attr]
    assert [event["seq"] for event in out.told] == [1, 2, 3, 4]


def test_a_stream_of_named_rooms_follows_no_other_room(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a1"], "bob", wanted=("a1",))
    hub.publish(feed.batch(feed.member("a2", "bob"), feed.event("a2"), feed.event("a1")))
    hub.flush()
    assert [event["room"] for event in out.told] == ["a1"]


def test_a_public_room_that_was_asked_for_is_followed_without_membership(hub: Hub, feed: Feed) -> None:
    _, asked = stream_in(hub, ["a1"], "bob", wanted=("a1",), public=True)
    _, member = stream_in(hub, ["a1"], "bob")
    hub.publish(feed.batch(feed.member("a1", "bob", None), feed.event("a1")))
    hub.flush()
    assert [event["seq"] for event in asked.told] == [1, 2]
    assert [event["seq"] for event in member.told] == [1]


def test_a_new_role_moves_nobody_out(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a1"], "bob")
    hub.publish(feed.batch(feed.member("a1", "bob", "moderator"), feed.event("a1")))
    hub.flush()
    assert [event["seq"] for event in out.told] == [1, 2]


# --- closing --------------------------------------------------------------------------------------------------------


def test_a_revocation_closes_the_streams_of_that_token_and_says_why(hub: Hub, feed: Feed) -> None:
    revoked, words = stream_in(hub, ["a1"], "bob")
    other_token = Stream("bob", "another", Out(), wanted=None, lines=False, expires_at=None)
    hub.watch(other_token)
    hub.seat(other_token, {"a1": False})
    replaying, late = stream_in(hub, ["a1"], "bob", live=False)
    hub.publish(feed.batch(feed.control("revoke", "bob", digests=["digest of bob", "x"])))
    assert (revoked.mode, words.ended, words.told) == (
        CLOSED,
        "closed",
        [{"type": "auth_expired", "reason": "revoked"}],
    )
    assert (replaying.mode, late.ended) == (CLOSED, "closed")
    assert other_token.mode == REPLAYING


def test_closing_goes_on_behind_a_connection_that_raises(hub: Hub, feed: Feed) -> None:
    for number in range(3):
        stream_in(hub, ["a1"], "bob", broken=number == 1)
    hub.publish(feed.batch(feed.control("revoke", "bob", digests=["digest of bob"])))
    assert hub.count == 0
    stream_in(hub, ["a1"], "cat", broken=True)
    _, out = stream_in(hub, ["a1"], "cat")
    hub.overtaken(0, Position(7, 500))
    assert out.types == ["reconnect"]
    assert hub.count == 0


def test_a_token_that_expires_ends_its_streams_with_the_next_ping(hub: Hub) -> None:
    stream, out = stream_in(hub, ["a1"], expires_at=5000)
    _, other = stream_in(hub, ["a1"], "bob")
    for slot in range(3):
        hub.ping(slot, "now", 4999)
    assert out.types == ["ping"]
    for slot in range(3):
        hub.ping(slot, "later", 5000)
    assert out.types == ["ping", "auth_expired"]
    assert stream.mode == CLOSED
    assert other.types == ["ping", "ping"]


def test_dropping_twice_counts_once_and_leaves_nothing_behind(hub: Hub) -> None:
    stream, _ = stream_in(hub, ["a1", "b1"])
    hub.drop(stream)
    hub.drop(stream)
    assert hub.count == 0
    assert hub.users() == {}
    assert hub.rooms_on(0) == hub.rooms_on(1) == []


def test_a_room_whose_streams_go_one_by_one_keeps_few_dead_ones(hub: Hub) -> None:
    streams = [stream_in(hub, ["a1"], f"user{number}")[0] for number in range(2000)]
    channel = streams[0].channels[0]
    for number, stream in enumerate(streams, 1):
        hub.drop(stream)
        assert len(channel.streams) <= 2 * (2000 - number) + 20
    assert not hub.rooms_on(0)


def test_a_room_is_forgotten_when_who_is_left_in_it_are_streams_that_were_closed(hub: Hub, feed: Feed) -> None:
    gone, _ = stream_in(hub, ["a1"], "ada")
    stream_in(hub, ["a1"], "bob")
    hub.drop(gone)
    hub.publish(feed.batch(feed.member("a1", "bob", None)))
    hub.flush()
    assert not hub.rooms_on(0)


def test_closed_streams_leave_their_ping_slot_with_its_next_turn(hub: Hub) -> None:
    streams = [stream_in(hub, ["a1"], f"user{number}")[0] for number in range(9)]
    for stream in streams[:8]:
        hub.drop(stream)
    for slot in range(3):
        hub.ping(slot, "now", 0)
    assert [stream for slot in range(3) for stream in hub.slot(slot)] == streams[8:]


# --- events of the stream itself ------------------------------------------------------------------------------------


def test_a_ping_carries_the_cursor_behind_all_that_was_written(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a1"])
    hub.publish(feed.batch(feed.event("a1")))
    for slot in range(3):
        hub.ping(slot, "now", 0)
    assert out.types == ["message", "ping"]
    assert Cursor.decode(out.told[1]["cursor"]) == Cursor((Position(7, 1), Position(7, 0)))
    assert decode(b"".join(out.writes))[1].last_id == out.told[1]["cursor"]


def test_every_stream_is_pinged_once_a_round_and_none_while_it_replays(hub: Hub) -> None:
    outs = [stream_in(hub, ["a1"], f"user{number}")[1] for number in range(7)]
    _, replaying = stream_in(hub, ["a1"], "bob", live=False)
    for slot in range(3):
        hub.ping(slot, "now", 0)
    assert [out.types for out in outs] == [["ping"]] * 7
    assert not replaying.writes


def test_a_read_marker_is_told_to_ones_own_streams_and_moves_no_cursor(hub: Hub, feed: Feed) -> None:
    _, mine = stream_in(hub, ["a1"], "bob")
    _, theirs = stream_in(hub, ["a1"], "ada")
    hub.publish(feed.batch(feed.control("read", "bob", type="read", room="a1", read=3, unread=0)))
    assert mine.told == [{"type": "read", "room": "a1", "read": 3, "unread": 0}]
    assert decode(mine.writes[0])[0].last_id == ""
    assert not theirs.writes


def typing(feed: Feed, user: str, room: str = "a1") -> Control:
    return feed.control("typing", user, type="typing", room=room, sender=user, until="")


def test_who_types_is_told_to_the_others_in_the_room_and_moves_no_cursor(hub: Hub, feed: Feed) -> None:
    _, typist = stream_in(hub, ["a1", "a2"], "ada")
    _, other = stream_in(hub, ["a1"], "bob")
    _, lines = stream_in(hub, ["a1"], "cat", lines=True)
    _, elsewhere = stream_in(hub, ["a2"], "dan")
    _, replaying = stream_in(hub, ["a1"], "eve", live=False)
    hub.publish(feed.batch(typing(feed, "ada")))
    hub.flush()
    event = {"type": "typing", "room": "a1", "sender": "ada", "until": ""}
    assert (other.told, decode(other.writes[0])[0].last_id) == ([event], "")
    assert json.loads(lines.writes[0]) == event
    assert [out.writes for out in (typist, elsewhere, replaying)] == [[], [], []]


def test_who_types_is_told_behind_what_was_said_before_and_before_what_is_said_after(hub: Hub, feed: Feed) -> None:
    _, other = stream_in(hub, ["a1", "a2"], "bob")
    hub.publish(
        feed.batch(
            feed.event("a2"), feed.event("a1"), feed.control("read", "ada"), typing(feed, "ada"), feed.event("a1")
        )
    )
    hub.flush()
    assert other.types == ["message", "message", "typing", "message"]
    before, after = (Cursor.decode(each.last_id) for each in decode(b"".join(other.writes))[1:4:2])
    assert before is not None
    assert after is not None
    # A place behind both messages, so that neither comes again, and one that was read as an event's: of its own epoch.
    assert before.positions[0] == Position(7, 2)
    assert after.positions[0] == Position(7, 5)


def test_controls_are_handed_on(feed: Feed) -> None:
    heard: list[Control] = []
    hub = Hub([Position(7, 0), Position(7, 0)], shard_of, on_control=heard.append)
    control = feed.control("account", "bob", digests=[])
    hub.publish(feed.batch(control))
    assert heard == [control]


# --- loss -----------------------------------------------------------------------------------------------------------


def test_a_lost_tail_is_told_to_those_who_saw_it(hub: Hub, feed: Feed) -> None:
    _, saw = stream_in(hub, ["a1"])
    _, saw_not = stream_in(hub, ["a2"], "bob")
    replaying, late = stream_in(hub, ["a1"], "cat", live=False)
    hub.publish(feed.batch(feed.event("a1"), feed.event("a1"), feed.event("a1")))
    hub.flush()
    hub.lost(0, Position(7, 1), {"a1": 1, "a2": 0})
    gap = {"type": "gap", "rooms": [{"room": "a1", "from": 2, "to": 3}], "refetch": True}
    assert saw.told[-1] == gap
    assert not saw_not.writes
    hub.go_live(replaying)
    assert late.told[-1] == gap
    assert hub.cursor.positions[0] == Position(7, 1)


def test_who_was_told_elsewhere_what_a_wiped_server_lost_is_told_so_here(hub: Hub, feed: Feed) -> None:
    hub.publish(feed.batch(feed.event("a1"), feed.event("a1"), feed.event("a1"), feed.event("a3")))
    hub.flush()
    _, saw = stream_in(hub, ["a1"])  # after the fact: this worker has told nobody of it
    _, whole = stream_in(hub, ["a3"], "bob")
    _, unknown = stream_in(hub, ["a2"], "cat")
    hub.lost(0, Position(9, 1_000_000_004), {"a1": 1, "a2": 5, "a3": 1})
    assert saw.told[-1]["rooms"] == [{"room": "a1", "from": 2, "to": 3}]
    assert not whole.writes
    assert not unknown.writes  # all that ever was is in the window
    assert hub.cursor.positions[0] == Position(9, 1_000_000_004)


def test_a_room_of_which_nothing_is_known_here_is_told_that_something_may_be_lost(hub: Hub, feed: Feed) -> None:
    feed.offsets[0] = 900  # what lies before is not in the window
    hub.publish(feed.batch(feed.event("a1")))
    hub.flush()
    _, out = stream_in(hub, ["a2"])
    hub.lost(0, Position(9, 1_000_000_901), {"a2": 5})
    assert out.told[-1]["rooms"] == [{"room": "a2", "from": 6, "to": 6}]


def test_an_acknowledged_send_that_is_lost_before_it_was_read_is_told_as_well(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a1"])
    hub.publish(feed.batch(feed.event("a1")))
    hub.saw("a1", 3)
    hub.lost(0, Position(7, 1), {"a1": 1})
    assert out.told[-1]["rooms"] == [{"room": "a1", "from": 2, "to": 3}]


def test_a_sends_delivery_is_timed_in_one_room_and_in_several(hub: Hub, feed: Feed) -> None:
    for room in ("a1", "a2", "b1"):
        stream_in(hub, [room])
    times = hub.trail.times
    hub.publish(feed.batch(feed.event("a1")))
    hub.flush()
    hub.saw("a1", 1, 0.0)  # its answer comes after its delivery
    assert sum(times.counts) == 1
    hub.saw("b1", 1, 50.0)  # and here before
    hub.saw("nobody-listens", 1, 51.0)
    hub.saw("a2", 1)
    assert sum(times.counts) == 1
    hub.publish(feed.batch(feed.event("a1"), feed.event("a2")))
    hub.publish(feed.batch(feed.event("b1")))
    assert sum(times.counts) == 1, "nothing has been written yet"
    hub.trail._clock = lambda: 50.25
    hub.flush()
    assert (sum(times.counts), times.counts[bisect_left(times.bounds_s, 0.25)]) == (2, 1)


def test_after_a_loss_the_new_epochs_events_come_as_usual(hub: Hub, feed: Feed) -> None:
    _, out = stream_in(hub, ["a1"])
    hub.publish(feed.batch(feed.event("a1"), feed.event("a1")))
    hub.lost(0, Position(7, 1), {"a1": 1})
    feed.epoch, feed.offsets[0], feed.seqs["a1"] = 8, 1, 1
    hub.publish(feed.batch(feed.event("a1")))
    hub.flush()
    assert [(event["type"], event.get("epoch"), event.get("seq")) for event in out.told] == [
        ("message", 7, 1),
        ("message", 7, 2),
        ("gap", None, None),
        ("message", 8, 2),
    ]
    assert Cursor.decode(decode(b"".join(out.writes))[-1].last_id) == Cursor((Position(8, 2), Position(7, 0)))


def test_a_reader_that_was_overtaken_sends_everybody_back_to_the_logs(hub: Hub) -> None:
    outs = [stream_in(hub, ["a1"])[1], stream_in(hub, ["b1"], "bob", live=False)[1]]
    hub.overtaken(1, Position(7, 900))
    assert [(out.types, out.ended) for out in outs] == [(["reconnect"], "closed")] * 2
    assert hub.windows[1].last == 900
    assert hub.count == 0
