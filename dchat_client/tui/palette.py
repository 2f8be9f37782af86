"""The colours of styles that rows.py names, for a dark and a light ground, and in the terminal's own sixteen colours.

The colours are of the 256 that every terminal has, so nothing is lost where there are no more. Without colours
(NO_COLOR) what matters still differs: by weight, by dimness, by being turned round.
"""

from __future__ import annotations

from functools import lru_cache

from rich.style import Style

# Of the 6×6×6 cube, far enough apart from each other and from the ground.
_DARK_NAMES = ("#5fafff", "#87d787", "#ffaf5f", "#d787d7", "#5fd7d7", "#ff8787", "#afafff", "#d7d787", "#ff87af")
_LIGHT_NAMES = ("#005faf", "#008700", "#af5f00", "#870087", "#008787", "#af0000", "#5f00d7", "#5f5f00", "#d70087")
_TERMINAL_NAMES = ("blue", "green", "yellow", "magenta", "cyan", "red", "bright_blue", "bright_green", "bright_magenta")
_NAMES = {"dark": _DARK_NAMES, "light": _LIGHT_NAMES, "terminal": _TERMINAL_NAMES}

_DARK = {
    "time": "#767676",
    "day": "#767676",
    "unread": "bold #ff8787",
    "quote": "#8a8a8a",
    "edited": "#767676",
    "tombstone": "italic #767676",
    "pending": "#8a8a8a",
    "failed": "bold #ff8787",
    "notice": "italic #8a8a8a",
    "action": "italic",
    "call me": "bold #1c1c1c on #ffd787",
    "reaction": "#d7d7af on #303030",
    "my reaction": "bold #d7d7af on #005f87",
    "more": "bold #1c1c1c on #87d7ff",
    "selected": "on #303030",
    "good": "#87d787",
    "warn": "bold #ffd787",
    "bad": "bold #ff8787",
}
_LIGHT = {
    **_DARK,
    "unread": "bold #af0000",
    "quote": "#6c6c6c",
    "pending": "#6c6c6c",
    "failed": "bold #af0000",
    "notice": "italic #6c6c6c",
    "call me": "bold #1c1c1c on #ffd787",
    "reaction": "#303030 on #c6c6c6",
    "my reaction": "bold #ffffff on #0087af",
    "more": "bold #ffffff on #005f87",
    "selected": "on #c6c6c6",
    "good": "#008700",
    "warn": "bold #875f00",
    "bad": "bold #af0000",
}
_TERMINAL = {
    "time": "dim",
    "day": "dim",
    "unread": "bold red",
    "quote": "dim",
    "edited": "dim",
    "tombstone": "italic dim",
    "pending": "dim",
    "failed": "bold red",
    "notice": "italic dim",
    "action": "italic",
    "call me": "bold reverse",
    "reaction": "",
    "my reaction": "bold underline",
    "more": "bold reverse",
    "selected": "reverse",
    "good": "green",
    "warn": "bold yellow",
    "bad": "bold red",
}
_STYLES = {"dark": _DARK, "light": _LIGHT, "terminal": _TERMINAL}


@lru_cache(maxsize=4096)
def style(theme: str, name: str) -> Style:
    """Return the style of that name; "name ada" is the colour of that person, the same every time."""
    kind, _, user = name.partition(" ")
    if kind == "name":
        colours = _NAMES[theme]
        number = sum((index + 1) * ord(char) for index, char in enumerate(user))
        return Style.parse(f"bold {colours[number % len(colours)]}")
    return Style.parse(_STYLES[theme].get(name, ""))
