"""A room's counts: right while pictures, events and markers come in any order."""

from __future__ import annotations

from typing import Any

import pytest

from dchat_client.room import Room, calls


def room(**fields: Any) -> Room:
    row = {"room": "hall", "kind": "public", "display_name": "The Hall", "head": 10, "read": 8, "unread": 2}
    return Room(row | fields, "ada")


def said(seq: int, text: str = "hi", sender: str = "bob") -> dict[str, Any]:
    return {"type": "message", "seq": seq, "sender": sender, "text": text, "ts": f"t{seq}"}


@pytest.mark.parametrize(
    ("text", "called"),
    [("@ada hi", True), ("hi @ada.", True), ("a@ada", False), ("@adam", False), ("", False), ("@ada-", True)],
)
def test_who_is_called_is_found_as_the_server_finds_it(text: str, called: bool) -> None:
    assert calls(text, "ada") is called


def test_a_message_counts_once_whether_the_picture_or_the_stream_tells_first() -> None:
    hall = room()
    hall.happened(said(10))
    assert hall.unread == 2
    hall.happened(said(11, "@ada"))
    hall.happened(said(11, "@ada"))
    assert (hall.unread, hall.mentions, hall.head) == (3, 1, 11)
    hall.sync({"head": 11, "read": 8, "unread": 3, "mentions": 1})
    assert (hall.unread, hall.mentions) == (3, 1)


def test_a_picture_from_before_keeps_what_came_after_it() -> None:
    hall = room()
    hall.happened(said(11))
    hall.sync({"head": 10, "read": 8, "unread": 2})
    assert hall.unread == 3


def test_reading_to_the_end_takes_the_badge_away() -> None:
    hall = room(mentions=1)
    hall.happened(said(11, "@ada"))
    hall.mark(11)
    assert (hall.unread, hall.mentions, hall.read) == (0, 0, 11)
    hall.happened(said(12))
    assert hall.unread == 1


def test_what_one_writes_oneself_one_has_read_and_all_before_it() -> None:
    hall = room()
    hall.happened(said(11))
    hall.happened(said(12, sender="ada"))
    assert (hall.unread, hall.read) == (0, 12)
    hall.sync({"head": 10, "read": 8, "unread": 2})
    assert hall.unread == 0


def test_a_deleted_message_is_not_unread() -> None:
    hall = room()
    hall.happened(said(11))
    hall.happened({"type": "delete", "seq": 12, "target": 11})
    assert hall.unread == 2
    hall.happened({"type": "delete", "seq": 13, "target": 9})
    assert hall.unread == 1
    hall.sync({"head": 12, "read": 8, "unread": 2})
    assert hall.unread == 1
    hall.happened({"type": "delete", "seq": 14, "target": 3})
    assert hall.unread == 1


def test_an_edit_may_call_somebody_or_stop_calling() -> None:
    hall = room()
    hall.happened(said(11))
    hall.happened({"type": "edit", "seq": 12, "target": 11, "text": "@ada"})
    assert hall.mentions == 1


def test_a_row_without_counts_leaves_ours_alone() -> None:
    hall = room()
    hall.mark(10)
    hall.sync({"head": 10, "topic": "new"})
    assert (hall.unread, hall.topic) == (0, "new")


def test_a_direct_room_is_called_by_its_other_people() -> None:
    assert room(kind="dm", users=["ada", "bob", "eve"]).title == "bob, eve"
    assert room(kind="dm", users=["ada"]).title == "ada"
    assert room().title == "The Hall"
    assert room(display_name="").title == "hall"


def test_changes_of_the_room_and_its_people_are_taken() -> None:
    hall = room(members=2, role="member")
    hall.happened({"type": "room", "seq": 11, "action": "archive", "topic": "over", "display_name": "Old Hall"})
    assert (hall.topic, hall.title, hall.is_archived) == ("over", "Old Hall", True)
    hall.happened({"type": "member", "seq": 12, "action": "join", "user": "eve", "role": "member"})
    hall.happened({"type": "member", "seq": 13, "action": "role", "user": "ada", "role": "owner"})
    assert (hall.members, hall.role) == (3, "owner")
    hall.happened({"type": "member", "seq": 14, "action": "kick", "user": "eve", "role": None})
    assert hall.members == 2


@pytest.mark.parametrize("value", [None, "5", -1, True, 2.5])
def test_numbers_that_are_none_are_taken_as_missing(value: Any) -> None:
    assert room(unread=value).unread == 0
