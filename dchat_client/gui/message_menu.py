"""What one can do with a message, by menu and by key."""

from __future__ import annotations

import tkinter
from collections.abc import Callable

from dchat_client.gui import glyphs
from dchat_client.gui.theme import Theme
from dchat_client.pictures import MOST_USED
from dchat_client.transcript import Line, Sending

Deed = Callable[[str, Line], None]
KEYS = {"r": "reply", "e": "edit", "d": "delete", "Delete": "delete", "c": "copy", "plus": "react", "u": "unread"}
"""Keysym → what it does with the chosen message."""


def deeds(line: Line, *, is_own: bool, may_delete: bool) -> list[str]:
    """Return what can be done with a line, in the order of a menu."""
    if line.sending is Sending.PENDING:
        return ["copy", "cancel"]
    if line.sending is Sending.FAILED:
        return ["retry", "copy", "cancel"]
    if line.kind != "message":
        return []
    if line.deleted:
        return ["unread"]
    found = ["reply", "react", "copy"]
    if is_own:
        found.append("edit")
    if is_own or may_delete:
        found.append("delete")
    return [*found, "unread"]


_WORDS = {
    "unfold": ("Show all of it", ""),
    "reply": ("Reply", "R"),
    "react": ("React", "+"),
    "copy": ("Copy text", "C"),
    "edit": ("Edit", "E"),
    "delete": ("Delete …", "Del"),
    "unread": ("Unread from here", "U"),
    "retry": ("Try again", ""),
    "cancel": ("Take back", ""),
}


def pop_up(
    parent: tkinter.Misc,
    theme: Theme,
    line: Line,
    found: list[str],
    do: Deed,
    place: tuple[int, int],
    drawn: glyphs.Drawn,
) -> None:
    """Show a menu of `found` at a place of the screen; `do(deed, line)` does what is chosen."""
    menu = _menu(parent, theme)
    for deed in found:
        words, key = _WORDS[deed]
        if deed == "react":
            reactions = _menu(menu, theme)
            for emoji in MOST_USED:
                reactions.add_command(
                    label=drawn(emoji),
                    command=lambda emoji=emoji: do(f"react:{emoji}", line),  # type: ignore[misc]
                    font=theme.fonts["emoji"],
                )
            reactions.add_command(label="Other …", command=lambda: do("react", line))
            menu.add_cascade(label=words, menu=reactions)
        else:
            menu.add_command(label=words, accelerator=key, command=lambda deed=deed: do(deed, line))  # type: ignore[misc]
    if found:
        menu.tk_popup(*place)


def _menu(parent: tkinter.Misc, theme: Theme) -> tkinter.Menu:
    palette = theme.palette
    return tkinter.Menu(
        parent,
        tearoff=False,
        font=theme.fonts["body"],
        background=palette.raised,
        foreground=palette.text,
        activebackground=palette.accent,
        activeforeground=palette.on_accent,
        borderwidth=1,
        relief="flat",
        activeborderwidth=0,
    )
