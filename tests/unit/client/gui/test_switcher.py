from __future__ import annotations

import tkinter

from dchat_client.gui.switcher import Place, Switcher
from dchat_client.gui.theme import Theme
from tests.harness.processes import until

LOBBY, BUILDS = Place("open", "lobby", "#lobby"), Place("open", "builds", "#builds", "(3)")


def test_some_letters_lead_to_a_room_and_what_the_server_finds_joins_in(root: tkinter.Tk, theme: Theme) -> None:
    gone: list[Place] = []
    asked: list[str] = []
    switcher = Switcher(root, theme, [LOBBY, BUILDS], on_go=gone.append, on_find=asked.append)
    root.update()
    switcher._value.set("bu")
    assert [place.name for place in switcher._shown] == ["builds"]
    assert asked == [], "the server is asked once the typing rests"
    until(lambda: root.update() or asked == ["bu"], "the server was asked")
    switcher.more("old letters", [Place("join", "bugs", "#bugs")])
    assert [place.name for place in switcher._shown] == ["builds"], "an answer that came too late"
    switcher.more("bu", [Place("join", "bugs", "#bugs"), Place("join", "builds", "#builds")])
    assert sorted(place.name for place in switcher._shown) == ["bugs", "builds"], "no room twice"
    switcher._value.set("bug")
    switcher.more("bug", [Place("join", "bugs", "#bugs")])
    switcher._entry.focus_force()
    root.update()
    switcher._entry.event_generate("<Return>")
    root.update()
    assert [place.name for place in gone] == ["bugs"]
    assert not switcher.sheet.is_open


def test_esc_closes_it_and_the_keyboard_goes_back(root: tkinter.Tk, theme: Theme) -> None:
    before = tkinter.Entry(root)
    before.pack()
    root.update()
    before.focus_force()
    root.update()
    switcher = Switcher(root, theme, [LOBBY], on_go=lambda _: None, on_find=lambda _: None)
    root.update()
    switcher._entry.focus_force()
    root.update()
    switcher._entry.event_generate("<Escape>")
    root.update()
    assert not switcher.sheet.is_open
    assert root.focus_get() is before
