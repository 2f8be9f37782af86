"""A screen, and a root window on it whose faults are ours."""

from __future__ import annotations

import tkinter
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import pytest

from dchat_client.gui import garbage
from dchat_client.gui.theme import Theme
from tests.harness.screen import Screen


@pytest.fixture(scope="session")
def screen() -> Iterator[Screen]:
    """One screen for all tests of widgets."""
    with Screen() as screen:
        yield screen


_alive: list[tkinter.Tk] = []
"""Every root there was. An interpreter of Tk that some other thread's collecting takes down aborts the process."""


@pytest.fixture
def tk(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tk on that screen. What a test leaves of its objects is collected in this thread, as the program does it."""
    make = tkinter.Tk.__init__

    def remembered(self: tkinter.Tk, *args: Any, **more: Any) -> None:
        make(self, *args, **more)
        _alive.append(self)

    monkeypatch.setattr(tkinter.Tk, "__init__", remembered)
    monkeypatch.setenv("DISPLAY", screen.name)
    was_on = garbage.take_over()
    yield
    garbage.hand_back(was_on)


@pytest.fixture
def root(tk: None) -> Iterator[tkinter.Tk]:
    """A window of 900 by 600. What goes wrong in a callback fails the test."""
    faults: list[BaseException] = []

    def fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        faults.append(error)

    root = tkinter.Tk()
    root.report_callback_exception = fault  # type: ignore[assignment]
    root.geometry("900x600+0+0")
    root.update()
    yield root
    root.update()
    root.destroy()
    if faults:
        raise faults[0]


@pytest.fixture
def theme(root: tkinter.Tk) -> Theme:
    theme = Theme(root)
    theme.use(dark=False)
    return theme
