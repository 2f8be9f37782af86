"""The session core: cursor, repeats, holes, state and waits, told by hand-made streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dchat_client.backoff import Backoff
from dchat_client.errors import StreamBroken
from dchat_client.items import Delivery, Gap, GapRange, Item, Passing, Phase, Resumed, StatusChanged
from dchat_client.position import Bookmark, Position
from dchat_client.session import Session


def event(kind: str, cursor: str | None = None, /, **data: Any) -> bytes:
    identity = f"id: {cursor}\n" if cursor else ""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n{identity}\n".encode()


def message(seq: int, cursor: str | None = None, *, room: str = "r", epoch: int = 1) -> bytes:
    return event("message", cursor, room=room, seq=seq, epoch=epoch, text=f"{room}{seq}")


def hello(cursor: str | None = None, /, **data: Any) -> bytes:
    return event("hello", cursor, worker="w", protocol=1, rooms=["r"], **data)


def opened(**options: Any) -> Session:
    """A session on its first connection, with dice that always fall in the middle."""
    session = Session(backoff=Backoff(base_s=1.0, cap_s=30.0, dice=lambda: 0.5), **options)
    session.connecting(0.0)
    list(session.items())
    return session


def take(session: Session, data: bytes, now: float = 0.0, *, commit: bool = True) -> list[Item]:
    session.receive(data, now)
    items = []
    for item in session.items():
        items.append(item)
        if commit:
            session.commit(item)
    return items


def seqs(items: list[Item]) -> list[int]:
    return [item.position.seq for item in items if isinstance(item, Delivery)]


def gaps(items: list[Item]) -> list[GapRange]:
    return [part for item in items if isinstance(item, Gap) for part in item.ranges]


# The cursor


def test_the_cursor_moves_only_when_the_face_commits() -> None:
    session = opened(bookmark=Bookmark("c0"))
    items = take(session, message(1, "c1") + message(2, "c2"), commit=False)
    assert session.bookmark == Bookmark("c0")
    session.commit(items[0])
    assert session.bookmark == Bookmark("c1", {"r": Position(1, 1)})
    session.commit(items[1])
    assert session.bookmark == Bookmark("c2", {"r": Position(1, 2)})


def test_events_of_one_write_share_the_cursor_of_the_last() -> None:
    session = opened(bookmark=Bookmark("c0"))
    items = take(session, message(1) + message(2, "c2"), commit=False)
    session.commit(items[0])
    assert session.bookmark == Bookmark("c0", {"r": Position(1, 1)})
    resumed = opened(bookmark=session.bookmark)
    assert seqs(take(resumed, message(1) + message(2, "c2"))) == [2]
    assert resumed.bookmark.cursor == "c2"


def test_a_repeat_does_not_move_the_cursor_past_what_is_not_committed() -> None:
    session = opened(bookmark=Bookmark("c0"))
    items = take(session, message(1, "c1") + message(2, "c2"), commit=False)
    session.lost(0.0, "cut")
    session.connecting(1.0)
    assert seqs(take(session, hello("c0") + message(1, "c1") + message(2, "c2"), commit=False)) == []
    assert session.bookmark.cursor == "c0"
    session.commit(items[0])
    assert session.bookmark.positions == {"r": Position(1, 1)}
    session.commit(items[1])
    assert session.bookmark == Bookmark("c2", {"r": Position(1, 2)})


def test_a_ping_moves_the_cursor_of_a_quiet_stream() -> None:
    session = opened(bookmark=Bookmark("c0"))
    items = take(session, event("ping", cursor="c5"))
    assert isinstance(items[0], Passing)
    assert session.bookmark.cursor == "c5"
    take(session, message(1) + message(2, "c7"))
    assert session.bookmark.cursor == "c7"


def test_an_id_in_force_from_before_does_not_take_a_pings_cursor_back() -> None:
    session = opened()
    take(session, message(1, "c1") + event("ping", cursor="c5") + message(2))
    assert session.bookmark.cursor == "c5"


def test_a_block_with_nothing_but_an_id_moves_the_cursor_once_all_before_it_is_committed() -> None:
    session = opened(bookmark=Bookmark("c0"))
    items = take(session, message(1, "c1") + b"id: c9\n\n", commit=False)
    assert session.bookmark.cursor == "c0"
    session.commit(items[0])
    assert session.bookmark.cursor == "c9"


def test_a_fresh_stream_begins_at_the_cursor_of_its_hello_and_a_resumed_one_does_not() -> None:
    session = opened()
    take(session, hello(cursor="c3"))
    assert session.bookmark.cursor == "c3"
    fresh = opened()
    take(fresh, event("hello", None, cursor="c3"))
    assert fresh.bookmark.cursor == "c3"
    resumed = opened(bookmark=Bookmark("c1"))
    take(resumed, event("hello", None, cursor="c3"))
    assert resumed.bookmark.cursor == "c1"
    since = opened(since="10m")
    take(since, event("hello", None, cursor="c3"))
    assert since.bookmark.cursor is None


def test_what_is_asked_for_is_the_committed_cursor_else_since_else_now() -> None:
    session = Session(rooms=["r"], since="10m")
    attach = session.connecting(0.0)
    assert (attach.rooms, attach.cursor, attach.since) == (("r",), None, "10m")
    take(session, message(1, "c1") + message(2, "c2"), commit=False)
    session.lost(0.0, "cut")
    assert session.connecting(1.0).since == "10m"
    take(session, message(1, "c1"))
    take(session, message(3, "c3"))
    session.lost(2.0, "cut")
    attach = session.connecting(3.0)
    assert (attach.cursor, attach.since) == ("c3", None)


def test_rewinding_brings_back_what_was_not_committed() -> None:
    session = opened()
    items = take(session, message(1, "c1") + message(2, "c2"), commit=False)
    session.commit(items[0])
    session.rewind()
    assert session.connecting(1.0).cursor == "c1"
    assert seqs(take(session, message(2, "c2"))) == [2]


# Repeats and holes


def test_a_hole_is_told_before_the_event_that_shows_it() -> None:
    session = opened()
    items = take(session, message(3) + message(7, "c7"))
    assert [type(item) for item in items] == [Delivery, Gap, Delivery]
    assert gaps(items) == [GapRange("r", 4, 6, Position(1, 3))]
    assert items[1].announced is False  # type: ignore[attr-defined]


def test_rooms_are_counted_apart() -> None:
    items = take(opened(), message(1, room="a") + message(9, room="b") + message(2, room="a"))
    assert seqs(items) == [1, 9, 2]
    assert gaps(items) == []


def test_an_event_found_on_a_page_while_recovering_is_not_shown_again() -> None:
    session = opened()
    session.receive(message(1) + message(4) + message(5), 0.0)
    shown = []
    for item in session.items():
        if isinstance(item, Gap):
            for seq in (2, 3, 4):
                session.recovered({"room": "r", "epoch": 1, "seq": seq})
        elif isinstance(item, Delivery):
            shown.append(item.position.seq)
        session.commit(item)
    assert shown == [1, 5]


def test_the_same_number_in_a_higher_epoch_is_another_event_and_in_a_lower_one_a_repeat() -> None:
    session = opened()
    items = take(session, message(5) + message(4, epoch=2) + message(5, epoch=2) + message(6, epoch=1))
    assert [item.position for item in items if isinstance(item, Delivery)] == [(1, 5), (2, 4), (2, 5)]


def test_a_new_epoch_that_skips_numbers_is_a_hole_too() -> None:
    assert gaps(take(opened(), message(5) + message(8, epoch=2))) == [GapRange("r", 6, 7, Position(1, 5))]


def test_an_announced_gap_is_not_found_again_by_the_numbers() -> None:
    session = opened()
    gap = event("gap", "c9", rooms=[{"room": "r", "from": 4, "to": 9}], refetch=True)
    items = take(session, message(3) + gap + message(10))
    assert gaps(items) == [GapRange("r", 4, 9, Position(1, 3))]
    assert seqs(items) == [3, 10]


def test_an_announced_gap_is_widened_by_what_the_numbers_say() -> None:
    gap = event("gap", "c9", rooms=[{"room": "r", "from": 7, "to": 9}], refetch=True)
    assert gaps(take(opened(), message(3) + gap)) == [GapRange("r", 4, 9, Position(1, 3))]


def test_a_gap_within_what_was_seen_makes_no_repeats_and_lets_the_new_epoch_in() -> None:
    gap = event("gap", "c9", rooms=[{"room": "r", "from": 4, "to": 5}], refetch=True)
    items = take(opened(), message(6) + gap + message(6) + message(5, epoch=2) + message(7))
    assert [item.position for item in items if isinstance(item, Delivery)] == [(1, 6), (2, 5)]


def test_a_gap_recovered_in_a_new_epoch_is_not_found_again() -> None:
    session = opened()
    gap = event("gap", "c9", rooms=[{"room": "r", "from": 4, "to": 9}], refetch=True)
    items = take(session, message(5) + gap, commit=False)
    session.commit(items[0])
    session.recovered({"room": "r", "epoch": 2, "seq": 7})
    assert session.bookmark.positions == {"r": Position(2, 7)}
    session.commit(items[1])
    assert session.bookmark == Bookmark("c9", {"r": Position(2, 9)})
    assert [type(item) for item in take(session, message(10, epoch=2))] == [Delivery]


def test_recovering_that_is_broken_off_leaves_the_rest_missing() -> None:
    session = opened(bookmark=Bookmark("c3", {"r": Position(1, 3)}))
    gap = event("gap", "c9", rooms=[{"room": "r", "from": 4, "to": 9}], refetch=True)
    take(session, gap, commit=False)
    session.recovered({"room": "r", "epoch": 1, "seq": 5})
    again = opened(bookmark=session.bookmark)
    assert again.bookmark == Bookmark("c3", {"r": Position(1, 5)})
    found = gaps(take(again, gap))
    assert found == [GapRange("r", 4, 9, Position(1, 5))]
    assert not found[0].is_new({"room": "r", "epoch": 1, "seq": 5})
    assert found[0].is_new({"room": "r", "epoch": 1, "seq": 6})


def test_a_gap_of_a_room_never_seen_is_handed_out_whole() -> None:
    gap = event("gap", "c9", rooms=[{"room": "r", "from": 1, "to": 9}], refetch=True)
    items = take(opened(), gap + message(10))
    assert gaps(items) == [GapRange("r", 1, 9, None)]
    assert seqs(items) == [10]


def member(seq: int, action: str, user: str = "ada") -> bytes:
    return event("member", None, room="r", seq=seq, epoch=1, sender="x", user=user, action=action, role=None)


@pytest.mark.parametrize("back", ["join", "invite"])
def test_what_happened_while_one_was_out_of_a_room_is_not_missing(back: str) -> None:
    session = opened(me="ada")
    items = take(session, message(3) + member(4, "leave") + member(9, back) + message(10))
    assert gaps(items) == []
    assert seqs(items) == [3, 4, 9, 10]


def test_being_thrown_out_without_word_and_joining_again_is_no_hole_either() -> None:
    assert gaps(take(opened(me="ada"), message(3) + member(9, "join"))) == []


def test_others_coming_and_going_does_not_hide_a_hole() -> None:
    assert gaps(take(opened(me="ada"), message(3) + member(9, "join", "bob"))) != []


def test_with_named_rooms_ones_own_joining_does_not_hide_a_hole() -> None:
    assert gaps(take(opened(me="ada", rooms=["r"]), message(3) + member(9, "join"))) != []


def test_pages_shown_before_the_stream_are_not_repeated_by_it() -> None:
    session = opened()
    session.begin("r", Position(1, 5))
    items = take(session, message(4) + message(5) + message(6))
    assert seqs(items) == [6]
    assert gaps(items) == []


# State


def states(items: list[Item]) -> list[Phase]:
    return [item.status.phase for item in items if isinstance(item, StatusChanged)]


def test_the_state_follows_the_stream() -> None:
    session = opened()
    assert session.status.phase is Phase.CONNECTING
    trouble = event("degraded", reason="redis_down") + event("recovered")
    items = take(session, hello() + trouble)
    assert states(items) == [Phase.LIVE, Phase.DEGRADED, Phase.LIVE]
    assert items[0].hello is not None  # type: ignore[attr-defined]
    session.lost(0.0, "cut")
    assert states(list(session.items())) == [Phase.RECONNECTING]
    assert session.status.reason == "cut"
    session.connecting(1.0)
    assert states(list(session.items())) == [Phase.CONNECTING]


def test_being_signed_out_ends_it_for_good() -> None:
    session = opened()
    take(session, hello() + event("auth_expired", reason="revoked"))
    assert (session.status.phase, session.status.reason) == (Phase.OFFLINE, "revoked")
    session.lost(0.0, "closed")
    assert session.status.phase is Phase.OFFLINE
    assert session.deadline is None


def test_a_replay_is_counted() -> None:
    assert [item.replayed for item in take(opened(), event("resumed", replayed=3)) if isinstance(item, Resumed)] == [3]


def test_silence_has_a_deadline_that_any_byte_moves() -> None:
    session = opened(idle_timeout_s=35.0)
    assert session.deadline == 35.0
    session.receive(b":", 10.0)
    assert session.deadline == 45.0
    session.reading(20.0)
    assert session.deadline == 55.0


def test_unplanned_losses_wait_longer_and_longer_with_jitter() -> None:
    session = opened()
    waits = []
    for _ in range(7):
        session.connecting(0.0)
        session.lost(100.0, "cut")
        assert session.deadline == 100.0 + (session.status.retry_in_s or 0)
        waits.append(session.status.retry_in_s)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_a_stream_that_lived_for_a_while_starts_the_waits_anew_and_a_short_one_does_not() -> None:
    session = opened(stable_s=10.0)
    session.lost(0.0, "cut")
    session.connecting(1.0)
    take(session, hello(), 1.0)
    take(session, event("ping"), 5.0)
    session.lost(5.0, "cut")
    assert session.status.retry_in_s == 1.0
    session.connecting(6.0)
    take(session, hello(), 6.0)
    take(session, event("ping"), 21.0)
    session.lost(21.0, "cut")
    assert session.status.retry_in_s == 0.5


def test_what_the_server_asks_for_is_a_floor_below_the_jitter() -> None:
    session = opened()
    session.lost(0.0, "busy", retry_after_s=7.0)
    assert session.status.retry_in_s == 7.5
    session.connecting(8.0)
    session.receive(b"retry: 2000\n\n", 8.0)
    session.lost(8.0, "cut")
    assert session.status.retry_in_s == 3.0


def test_no_server_can_send_a_client_away_for_ever() -> None:
    session = opened()
    session.receive(b"retry: 99999999999999\n\n", 0.0)
    session.lost(0.0, "cut")
    assert session.status.retry_in_s == 300.5


def test_a_planned_reconnect_waits_as_long_as_it_says() -> None:
    session = opened()
    take(session, hello())
    take(session, event("reconnect", after_ms=2500), 60.0)
    assert session.closing
    session.lost(60.0, "closed")
    assert session.status.retry_in_s == 2.5
    session.connecting(63.0)
    assert not session.closing


def test_a_server_that_sends_everybody_away_at_once_is_not_asked_in_a_circle() -> None:
    session = opened()
    take(session, hello() + event("reconnect", after_ms=0), 0.1)
    session.lost(0.1, "closed")
    assert session.status.retry_in_s == 0.5


def test_bytes_of_a_broken_connection_are_not_continued_by_the_next() -> None:
    session = opened()
    take(session, message(1)[:-10])
    session.lost(0.0, "cut")
    session.connecting(1.0)
    assert seqs(take(session, message(1))) == [1]


@pytest.mark.parametrize("data", [b"data: [1]\n\n", b"data: {\n\n", b"data: " + b"[" * 100_000 + b"\n\n"])
def test_data_that_is_no_object_is_a_broken_stream(data: bytes) -> None:
    with pytest.raises(StreamBroken):
        opened().receive(data, 0.0)


def test_types_to_come_are_passed_on() -> None:
    items = take(opened(), event("typing", room="r", user="bob"))
    assert [item.event["user"] for item in items if isinstance(item, Passing)] == ["bob"]
