from __future__ import annotations

import tkinter

import pytest

from dchat_client.completion import Sources
from dchat_client.gui.entry import MOST_LINES, Entry
from dchat_client.gui.theme import Theme
from dchat_client.gui.written import Written


class Writing:
    """An input that has the keyboard, and what it sent."""

    def __init__(self, root: tkinter.Tk, theme: Theme) -> None:
        self.root = root
        self.sent: list[str] = []
        self.written: list[str] = []
        self.takes = True
        self.escapes = 0
        self.entry = Entry(
            root,
            theme,
            Written(),
            sources=lambda: Sources(("ada", "adam", "bob"), ("lobby", "builds")),
            on_send=self._send,
            on_escape=self._escape,
            on_up=lambda: None,
            on_write=self.written.append,
        )
        self.entry.pack(side="bottom", fill="x")
        root.update()
        self.entry.text.focus_force()
        root.update()

    def _send(self, text: str) -> bool:
        if self.takes:
            self.sent.append(text)
            self.entry.written.add(text)
        return self.takes

    def _escape(self) -> None:
        self.escapes += 1

    def write(self, text: str) -> None:
        self.entry.text.insert("insert", text)
        self.root.update()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.entry.text.event_generate(key)
            self.root.update()

    @property
    def value(self) -> str:
        return self.entry.value


@pytest.fixture
def writing(root: tkinter.Tk, theme: Theme) -> Writing:
    return Writing(root, theme)


def test_enter_sends_and_empties_the_input(writing: Writing) -> None:
    writing.write("hello")
    writing.press("<Return>")
    assert writing.sent == ["hello"]
    assert writing.value == ""


def test_what_was_not_taken_stays(writing: Writing) -> None:
    writing.takes = False
    writing.write("hello")
    writing.press("<Return>")
    assert writing.value == "hello"


def test_blanks_are_not_sent(writing: Writing) -> None:
    writing.write("  ")
    writing.press("<Return>")
    assert writing.sent == []


def test_shift_enter_begins_a_line_and_the_input_grows_to_its_limit(writing: Writing) -> None:
    writing.write("one")
    writing.press("<Shift-Return>")
    writing.write("two")
    assert writing.value == "one\ntwo"
    assert int(writing.entry.text["height"]) == 2
    writing.write("\n" * 40)
    assert int(writing.entry.text["height"]) == MOST_LINES


def test_the_up_key_brings_back_what_was_sent_only_when_nothing_is_written(writing: Writing) -> None:
    for text in ("one", "two"):
        writing.write(text)
        writing.press("<Return>")
    writing.press("<Up>", "<Up>")
    assert writing.value == "one"
    writing.press("<Down>", "<Down>")
    assert writing.value == ""
    writing.write("mine")
    writing.press("<Up>")
    assert writing.value == "mine"


def test_tab_completes_a_name(writing: Writing) -> None:
    writing.write("hi @bo")
    assert writing.entry.suggestions.is_open
    writing.press("<Tab>")
    assert writing.value == "hi @bob "
    assert not writing.entry.suggestions.is_open


def test_several_names_are_walked_through_and_enter_takes_one_then_sends(writing: Writing) -> None:
    writing.write("😀 @ad")
    writing.press("<Down>", "<Return>")
    assert writing.value == "😀 @adam "
    assert writing.sent == []
    writing.press("<Return>")
    assert writing.sent == ["😀 @adam "]


def test_enter_sends_what_is_written_when_nobody_looked_at_the_options(writing: Writing) -> None:
    writing.write("ping @ada")
    assert writing.entry.suggestions.is_open
    writing.press("<Return>")
    assert writing.sent == ["ping @ada"]


def test_emoji_and_commands_are_completed(writing: Writing) -> None:
    writing.write(":tada")
    writing.press("<Tab>")
    assert writing.value == "🎉 "
    writing.entry.set("")
    writing.write("/reco")
    writing.press("<Tab>")
    assert writing.value == "/reconnect "


def test_esc_closes_the_options_first(writing: Writing) -> None:
    writing.write("@ad")
    writing.press("<Escape>")
    assert not writing.entry.suggestions.is_open
    assert writing.escapes == 0
    writing.press("<Escape>")
    assert writing.escapes == 1


def test_deleting_takes_a_whole_picture(writing: Writing) -> None:
    writing.write("a😀b")
    writing.press("<BackSpace>", "<BackSpace>")
    assert writing.value == "a"


def test_what_is_written_by_hand_is_told_and_what_is_put_there_is_not(writing: Writing) -> None:
    writing.entry.set("a draft")
    writing.root.update()
    assert writing.written == []
    writing.write("!")
    assert writing.written == ["a draft!"]


def test_the_hint_is_there_only_while_nothing_is_written(writing: Writing) -> None:
    writing.entry.hint("Write to lobby")
    writing.root.update()
    hint = writing.entry.text.winfo_children()[0]
    assert hint.winfo_ismapped()
    writing.write("x")
    assert not hint.winfo_ismapped()


def test_pasting_takes_the_text_with_plain_line_ends(writing: Writing) -> None:
    writing.root.clipboard_clear()
    writing.root.clipboard_append("one\r\ntwo 😀")
    writing.press("<<Paste>>")
    assert writing.value == "one\ntwo 😀"


def test_a_key_of_the_window_changes_nothing_in_what_is_written(writing: Writing) -> None:
    gone: list[str] = []
    writing.root.bind_all("<Control-k>", lambda _: gone.append("k") or "break")  # type: ignore[func-returns-value]
    writing.write("hello")
    writing.entry.text.mark_set("insert", "1.2")
    writing.press("<Control-k>")
    assert gone == ["k"]
    assert writing.value == "hello"


def test_tab_in_an_empty_input_goes_on_and_writes_nothing(writing: Writing) -> None:
    other = tkinter.Entry(writing.root)
    other.pack()
    writing.root.update()
    writing.press("<Tab>")
    assert writing.value == ""
    assert writing.root.focus_get() is not writing.entry.text
