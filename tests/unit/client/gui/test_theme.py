from __future__ import annotations

import tkinter
from tkinter import font

import pytest

from dchat_client.gui import theme as looks
from dchat_client.gui.theme import Theme


@pytest.mark.parametrize(
    ("resources", "dots"),
    [
        ("Xft.dpi:\t192\nXft.antialias:\t1\n", 192.0),
        ("*.foreground: x\nXft.dpi: 120.5", 120.5),
        ("", None),
        ("Xft.dpi: many", None),
    ],
)
def test_the_density_is_what_the_desktop_says(resources: str, dots: float | None) -> None:
    assert looks.resource_dpi(resources) == dots


@pytest.mark.parametrize(("says", "is_used"), [("2", 2.0), ("100", 4.0), ("0.1", 0.5)])
def test_what_the_person_says_overrules_it_within_bounds(
    root: tkinter.Tk, monkeypatch: pytest.MonkeyPatch, says: str, is_used: float
) -> None:
    monkeypatch.setenv("DCHAT_SCALE", says)
    assert looks.density(root) == is_used


def test_nonsense_is_not_used(root: tkinter.Tk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCHAT_SCALE", "big")
    assert looks.density(root) >= 1.0


def test_everything_grows_with_the_screen_also_the_fonts_of_the_theme(
    root: tkinter.Tk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCHAT_SCALE", "2")
    theme = Theme(root)
    theme.use(dark=False)
    assert theme.px(10) == 20
    assert theme.fonts["body"].cget("size") == -30
    assert font.nametofont("TkDefaultFont", root).cget("size") == -28
    theme.set_zoom(1.5)
    assert theme.fonts["body"].cget("size") == -45
    theme.set_zoom(100)
    assert theme.zoom == 3.0


def test_parts_are_told_of_a_new_look_as_long_as_they_are_there(root: tkinter.Tk, theme: Theme) -> None:
    told: list[bool] = []

    class Part(tkinter.Frame):
        def coloured(self) -> None:
            told.append(theme.palette.is_dark)

    part = Part(root)
    theme.follow(part.coloured)
    theme.use(dark=True)
    assert told == [False, True]
    part.destroy()
    theme.forget_gone()
    theme.use(dark=False)
    assert told == [False, True]


async def test_a_desktop_that_does_not_answer_is_light(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    stuck = threading.Event()
    monkeypatch.setattr(looks, "ASK_S", 0.05)
    monkeypatch.setattr(looks, "desktop_is_dark", lambda: stuck.wait(60))
    assert await looks.desktop_is_dark_soon() is False
    stuck.set()
