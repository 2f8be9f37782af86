from __future__ import annotations

import tkinter
from typing import Any

import pytest

from dchat_client.gui.rooms_list import RoomsList, badge, look
from dchat_client.gui.theme import Theme
from dchat_client.room import Room


def room(name: str, kind: str = "public", **more: Any) -> Room:
    row = {"room": name, "kind": kind, "topic": "", "head": 9, "read": 0, "unread": 0, "mentions": 0, "users": []}
    return Room({**row, **more}, "ada")


@pytest.mark.parametrize(
    ("one", "says", "looks"),
    [
        (room("a"), "", "plain"),
        (room("a", unread=3), "3", "unread"),
        (room("a", unread=5, mentions=2), "● 2", "calls"),
        (room("a", "dm", unread=1, users=["ada", "bob"]), "● 1", "calls"),
        (room("a", unread=5000), "999+", "unread"),
        (room("a", archived=True), "", "archived"),
    ],
)
def test_a_badge_says_first_what_calls_one(one: Room, says: str, looks: str) -> None:
    assert badge(one) == says
    assert look(one) == looks


def test_rooms_come_and_go_and_keep_their_order(root: tkinter.Tk, theme: Theme) -> None:
    opened: list[str] = []
    rooms = RoomsList(root, theme, str, opened.append)
    rooms.pack()
    rooms.show([room("b"), room("c")], "c")
    root.update()
    assert rooms.tree.get_children() == ("b", "c")
    assert rooms.tree.selection() == ("c",)
    rooms.show([room("a"), room("c", unread=1), room("b")], "c")
    root.update()
    assert rooms.tree.get_children() == ("a", "c", "b")
    assert rooms.tree.set("c", "badge") == "1"
    rooms.tree.selection_set("a")
    root.update()
    assert opened[-1] == "a"
    rooms.show([room("b")], None)
    root.update()
    assert rooms.tree.get_children() == ("b",)
    assert rooms.tree.selection() == ()


def test_a_name_that_hides_something_is_shown_harmless(root: tkinter.Tk, theme: Theme) -> None:
    rooms = RoomsList(root, theme, str, lambda _: None)
    rooms.show([room("x", display_name="good\u202eevil\x1b")], None)
    assert rooms.tree.item("x", "text") == "# good⟨U+202E⟩evil␛"
