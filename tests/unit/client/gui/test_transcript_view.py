from __future__ import annotations

import tkinter
from collections.abc import Iterator
from typing import Any

import pytest

from dchat_client.gui.blocks import Composer
from dchat_client.gui.stretch import MOST_SHOWN
from dchat_client.gui.theme import Theme
from dchat_client.gui.transcript_view import TranscriptView
from dchat_client.transcript import Line, Transcript


def said(seq: int, text: str = "", sender: str = "bob", **more: Any) -> dict[str, Any]:
    text = text or f"message {seq} " + "word " * (seq % 40) + "."
    ts = f"2026-11-{1 + seq // 1440 % 28:02}T{seq // 60 % 24:02}:{seq % 60:02}:00.000Z"
    return {
        "type": "message",
        "room": "lobby",
        "seq": seq,
        "epoch": 1,
        "ts": ts,
        "sender": sender,
        "text": text,
        **more,
    }


class Shown:
    """A view of a room, and what it asked for."""

    def __init__(self, root: tkinter.Tk, theme: Theme) -> None:
        self.root = root
        self.older: list[int] = []
        self.pressed: list[tuple[str, Line]] = []
        self.view = TranscriptView(
            root,
            theme,
            on_older=self.older.append,
            on_move=lambda: None,
            on_press=lambda what, line: self.pressed.append((what, line)),
        )
        self.view.pack(fill="both", expand=True)
        self.root.update()
        self.transcript = Transcript("lobby")

    def show(self, first: int, last: int, *, has_more: bool = False) -> None:
        self.transcript.page([said(seq) for seq in range(first, last + 1)], last, has_more, before=None)
        self.view.show(self.transcript, Composer("ada", {}, 12))
        self.settle()

    def say(self, seq: int, **more: Any) -> None:
        self.transcript.happened(said(seq, **more))

    def refresh(self) -> None:
        self.view.refresh()
        self.settle()

    def settle(self) -> None:
        for _ in range(5):
            self.root.update()

    def place_of(self, seq: int) -> int:
        """How far below the upper edge the text of a message in view begins, in pixels."""
        box = self.view.text.dlineinfo(self.view.text.search(f"message {seq} ", "1.0"))
        assert box is not None, f"message {seq} is not in view"
        return box[1]

    def in_view(self) -> int:
        """The seq of a message that begins in view."""
        words = self.view.text.get("@0,0 + 1 lines linestart", f"@0,{self.view.text.winfo_height()}")
        return int(words.partition("message ")[2].split()[0])

    @property
    def words(self) -> str:
        return self.view.text.get("1.0", "end")

    def press(self, words: str, kind: str = "<ButtonRelease-1>") -> None:
        """Press the mouse on the first place where these words stand."""
        text = self.view.text
        place = text.search(words, "1.0")
        text.see(place)
        self.settle()
        box = text.bbox(place)
        assert box is not None
        for event in ("<Enter>", "<Motion>", kind):
            text.event_generate(event, x=box[0] + 2, y=box[1] + 4)
        self.settle()


@pytest.fixture
def shown(root: tkinter.Tk, theme: Theme) -> Iterator[Shown]:
    return Shown(root, theme)


def test_a_view_at_the_bottom_stays_there_when_messages_come(shown: Shown) -> None:
    shown.show(1, 60)
    assert shown.view.is_at_bottom
    for seq in range(61, 80):
        shown.say(seq)
        shown.refresh()
    assert shown.view.is_at_bottom
    assert shown.view.new_below == 0


def test_a_view_elsewhere_stays_where_it_is_when_messages_come_and_counts_them(shown: Shown) -> None:
    shown.show(1, 80)
    shown.view.text.yview_scroll(-400, "pixels")
    shown.settle()
    seq = shown.in_view()
    before = shown.place_of(seq)
    for new in range(81, 84):
        shown.say(new)
    shown.refresh()
    assert shown.place_of(seq) == before
    assert shown.view.new_below == 3
    shown.view.to_bottom()
    shown.settle()
    assert shown.view.new_below == 0
    assert shown.view.is_at_bottom


def test_older_messages_that_come_above_move_nothing(shown: Shown) -> None:
    shown.show(201, 300, has_more=True)
    shown.view.text.yview_moveto(0.0)
    shown.settle()
    assert shown.older == [201], "the upper end asks for older messages, once"
    shown.view.text.yview_scroll(37, "pixels")
    shown.settle()
    seq = shown.in_view()
    before = shown.place_of(seq)
    shown.transcript.asked()
    assert shown.transcript.page([said(seq) for seq in range(101, 201)], 300, True, before=201)
    shown.refresh()
    assert "message 101" in shown.words
    assert shown.place_of(seq) == before


def test_older_messages_come_above_while_the_very_top_is_shown(shown: Shown) -> None:
    shown.show(201, 300, has_more=True)
    shown.view.text.yview_moveto(0.0)
    shown.settle()
    before = shown.place_of(201)
    shown.transcript.asked()
    shown.transcript.page([said(seq) for seq in range(101, 201)], 300, False, before=201)
    shown.refresh()
    assert "message 101" in shown.words
    assert shown.place_of(201) == before, "its text stays, although its head now stands above another one"


def test_an_edit_above_the_view_moves_nothing(shown: Shown) -> None:
    shown.show(1, 80)
    shown.view.text.yview_scroll(-200, "pixels")
    shown.settle()
    seq = shown.in_view()
    before = shown.place_of(seq)
    shown.transcript.happened({"type": "edit", "room": "lobby", "seq": 81, "target": 2, "text": "long " * 300})
    shown.refresh()
    assert "long long" in shown.words
    assert shown.place_of(seq) == before


def test_ten_thousand_messages_are_drawn_as_a_few_hundred(shown: Shown) -> None:
    shown.show(1, 50)
    for seq in range(51, 10_001):
        shown.say(seq)
        if seq % 250 == 0:
            shown.refresh()
            assert int(shown.view.text.index("end").split(".")[0]) < 5 * MOST_SHOWN
    assert shown.view.is_at_bottom
    assert "message 10000" in shown.words


def test_scrolling_back_draws_first_what_is_there(shown: Shown) -> None:
    shown.show(1, 900)
    assert "message 700 " not in shown.words
    for _ in range(3):
        shown.view.text.yview_moveto(0.0)
        shown.settle()
    assert "message 400 " in shown.words
    assert shown.older == []


def test_the_view_begins_at_the_unread_line(shown: Shown) -> None:
    shown.transcript.unread_after = 20
    shown.show(1, 90)
    assert not shown.view.is_at_bottom
    assert 0 < shown.place_of(21) < 300


def test_pressing_a_reaction_a_link_or_a_quote_says_which(shown: Shown) -> None:
    shown.show(1, 3)
    shown.say(4, text="see https://example.org/x now", reactions=[{"emoji": "👍", "count": 1, "users": ["bob"]}])
    shown.say(5, text="yes", reply_to=1)
    shown.refresh()
    shown.press("https://example.org")
    shown.press("👍")
    shown.press("↪")
    assert [what for what, _ in shown.pressed] == ["link:https://example.org/x", "react:👍", "quote"]
    assert [line.seq for _, line in shown.pressed] == [4, 4, 5]


def test_the_other_button_asks_for_a_menu_on_the_message_under_it(shown: Shown) -> None:
    shown.show(1, 10)
    shown.press("message 7", "<Button-3>")
    assert [(what, line.seq) for what, line in shown.pressed] == [("menu", 7)]


def test_messages_are_chosen_by_keyboard_and_the_choice_survives_new_ones(shown: Shown) -> None:
    shown.show(1, 10)
    shown.view.choose(-1)
    shown.view.choose(-1)
    assert shown.view.chosen is not None
    assert shown.view.chosen.seq == 9
    shown.say(11)
    shown.refresh()
    assert shown.view.chosen is not None
    assert shown.view.chosen.seq == 9
    assert shown.view.text.tag_ranges("chosen")
    shown.view.choose(5)
    assert shown.view.chosen is None


def test_who_is_writing_stands_below_all_messages(shown: Shown) -> None:
    shown.show(1, 10)
    shown.view.set_typing("Bob 😀 is typing …")
    shown.say(11)
    shown.refresh()
    assert shown.words.rstrip("\n").endswith("Bob 😀 is typing …")
    shown.view.set_typing("")
    assert shown.words.rstrip("\n").split("\n")[-1].startswith("message 11")


def test_another_room_shows_nothing_of_the_one_before(shown: Shown) -> None:
    shown.show(1, 10)
    other = Transcript("other")
    shown.view.show(other, Composer("ada", {}, 12))
    assert "message" not in shown.words
    assert "Loading" in shown.words
    other.page([said(1, "elsewhere")], 1, False, before=None)
    shown.view.refresh()
    assert "elsewhere" in shown.words


def test_a_quote_leads_to_its_message_also_when_that_is_not_drawn(shown: Shown) -> None:
    shown.show(1, 900)
    assert shown.view.go_to(100)
    shown.settle()
    assert 0 <= shown.place_of(100) < 600
    assert shown.view.chosen is not None
    assert shown.view.chosen.seq == 100
    assert not shown.view.go_to(5000)
